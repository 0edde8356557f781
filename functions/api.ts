/** Entry point of the administration API, behind API Gateway. */
import { makeHandler } from './api-handler.ts';
import { wireApi } from './wiring.ts';

export const handler = makeHandler(wireApi(process.env));
