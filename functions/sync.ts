/** Entry point of the synchronisation, which the schedule and the API invoke. */
import { makeHandler } from './sync-handler.ts';
import { wireSync } from './wiring.ts';

export const handler = makeHandler(wireSync(process.env));
