/** What the schemas of several answers are made of. */
import * as z from 'zod';

/** A point in time. */
export const time = () => z.string().meta({ format: 'date-time', description: 'RFC 3339, UTC.' });

/** A number of things. */
export const count = () => z.int().min(0);

/** A distinguished name. */
export const dn = () => z.string().describe('Distinguished name, in the spelling of the directory.');

/** A page of a list, named `id` in the description. */
export function page<Item extends z.ZodType>(item: Item, id: string) {
  return z
    .strictObject({
      items: z.array(item),
      next: z.string().nullable().describe('Pass it back as `?next=` for the next page; null = this is the last page.'),
    })
    .meta({ id, description: 'A page of a list.' });
}
