/** How a fault leaves a function that is invoked directly. */
import type { ServiceError } from '../lib/errors.ts';

/**
 * The error to throw: Lambda reports its name, the fault's code with a capital, as `errorType`. The cause stays behind; it
 * may quote what a server has said.
 */
export function functionError({ code, message }: ServiceError): Error {
  const error = new Error(message);
  error.name = code.charAt(0).toUpperCase() + code.slice(1);
  error.stack = `${error.name}: ${message}`;
  return error;
}
