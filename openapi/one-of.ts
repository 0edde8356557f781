/** Enumerations with a meaning for every value. */
import * as z from 'zod';

/** An enumeration of exactly the values of a type: TypeScript refuses a table that lacks one or has one too many. */
export function oneOf<Value extends string>(meanings: Readonly<Record<Value, string>>) {
  const values = Object.keys(meanings) as [Value, ...Value[]];
  return z.enum(values).describe(`${values.map((value) => `\`${value}\`: ${meanings[value]}`).join('; ')}.`);
}
