/** Enumerations that describe each of their values. Knows no particular enumeration. */
import * as z from 'zod';

/** An enumeration of exactly the values of a type: TypeScript refuses a table with a missing or an extra value. */
export function oneOf<Value extends string>(meanings: Readonly<Record<Value, string>>) {
  const values = Object.keys(meanings) as [Value, ...Value[]];
  return z.enum(values).describe(`${values.map((value) => `\`${value}\`: ${meanings[value]}`).join('; ')}.`);
}
