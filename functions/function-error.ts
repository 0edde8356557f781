/** Turns a fault into the error of a function that is invoked directly. Knows no function. */
import type { ServiceError } from '../lib/errors.ts';

/**
 * The error to throw. Lambda reports its name, which is the fault's code with a capital letter, as `errorType`. The
 * cause is dropped, because it may quote a server's answer.
 */
export function functionError({ code, message }: ServiceError): Error {
  const error = new Error(message);
  error.name = code.charAt(0).toUpperCase() + code.slice(1);
  error.stack = `${error.name}: ${message}`;
  return error;
}
