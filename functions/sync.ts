/** Entry point of the synchronisation, which the schedule and the API invoke. */
import { keepObjectsYoung } from './short-lived-objects.ts';
import { makeHandler } from './sync-handler.ts';
import { wireSync } from './wiring.ts';

keepObjectsYoung();

export const handler = makeHandler(wireSync(process.env));
