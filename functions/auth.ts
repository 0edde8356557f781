/** Entry point of the login function, which the login service invokes. */
import { makeHandler } from './auth-handler.ts';
import { wireAuth } from './wiring.ts';

export const handler = makeHandler(wireAuth(process.env));
