/** Entry point of the pages, behind API Gateway. */
import { makeHandler } from './console-handler.ts';
import { logger } from './telemetry.ts';

export const handler = makeHandler({ folder: import.meta.dirname, logger });
