/** Entry point of the events function, which Lambda invokes with batches of the tables' streams. */
import { makeHandler } from './events-handler.ts';
import { wireEvents } from './wiring.ts';

export const handler = makeHandler(wireEvents(process.env));
