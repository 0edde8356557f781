/** The core's source of time. Tests pass a clock that they control. */
export interface Clock {
  now(): Date;
}
