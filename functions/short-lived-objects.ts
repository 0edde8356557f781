/** A setting of V8 for functions that read very many entries. Knows nothing of entries. */
import { setFlagsFromString } from 'node:v8';

/**
 * Makes V8 allocate every object as a young one. It would otherwise learn that an object of a page of people often
 * survives one garbage collection, and allocate all further ones as old: they are dead moments later, but stay, with
 * all that they refer to, until the next major collection. With 200,000 people, memory of the whole process peaked at
 * 160 MB instead of 267. NODE_OPTIONS does not take this flag.
 */
export function keepObjectsYoung(): void {
  setFlagsFromString('--no-allocation-site-pretenuring');
}
