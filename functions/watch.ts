/** Entry point of the watch, which a schedule of the deployment starts every five minutes. */
import { makeHandler } from './watch-handler.ts';
import { wireWatch } from './wiring.ts';

export const handler = makeHandler(wireWatch(process.env));
