/** The time, as the core asks for it: tests let it pass when they say so. */
export interface Clock {
  now(): Date;
}
