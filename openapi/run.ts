/** Describes the calls about runs of the synchronisation. What a run does is in lib/sync/. */
import { approvalRequest, changeQuery, runQuery, syncOptions } from '../lib/administration/request-schema.ts';
import * as answer from './answer.ts';
import { LOCATION } from './call.ts';
import type { DescribedAnswer, DescribedCalls } from './call.ts';
import * as example from './example.ts';

/** The calls under `/api/sync` and `/api/runs`. */
export const RUN_CALLS: DescribedCalls = {
  'POST /api/sync': {
    id: 'startRun',
    tag: 'Runs',
    summary: 'Start a run',
    description: 'Without a body, starts a real run.',
    body: { schema: syncOptions, example: { dryRun: true }, optional: true },
    answers: { 202: startedRun('The run is queued.') },
    faults: ['notConfigured', 'runActive', 'leaseLost'],
  },
  'GET /api/runs': {
    id: 'listRuns',
    tag: 'Runs',
    summary: 'List runs, newest first',
    query: runQuery,
    answers: {
      200: { description: 'A page of runs.', schema: answer.runPage, example: { items: [example.run], next: null } },
    },
  },
  'GET /api/runs/{id}': {
    id: 'getRun',
    tag: 'Runs',
    summary: 'Show a run and its progress',
    answers: { 200: { description: 'The run.', schema: answer.run, example: example.run } },
    faults: ['notFound'],
  },
  'GET /api/runs/{id}/changes': {
    id: 'listChanges',
    tag: 'Runs',
    summary: 'List what a run did, one line per user',
    query: changeQuery,
    answers: {
      200: {
        description: 'A page of changes.',
        schema: answer.changePage,
        example: { items: [example.change], next: null },
      },
    },
    faults: ['notFound'],
  },
  'POST /api/runs/{id}/cancel': {
    id: 'cancelRun',
    tag: 'Runs',
    summary: 'Cancel a run',
    description: 'The run stops at its next step.',
    answers: {
      202: { description: 'The run will stop.', schema: answer.startedRun, example: example.startedRun },
    },
    faults: ['notFound', 'runNotActive'],
  },
  'POST /api/runs/{id}/approve': {
    id: 'approveRun',
    tag: 'Runs',
    summary: 'Approve lines that a run has withheld',
    description:
      'Starts a run that checks each approved line again and carries it out. Without a body, approves every line ' +
      'with `proposes`, except those that propose `link` for somebody with another full name and other e-mail ' +
      'addresses. ' +
      'An approval overrides the removal limit, a vanished branch, a directory that answers with nobody, and what ' +
      'other servers say; never an incomplete read, a sighting of the person in scope, or the loss of the last ' +
      'administrator. It holds for 14 days, or ' +
      'until it is carried out, the person is read again, or `scope`, `mapping.uniqueId` or `options.missingUsers` ' +
      'changes.',
    body: {
      schema: approvalRequest,
      example: { proposes: 'remove', userIds: [example.change.userId] },
      optional: true,
    },
    answers: { 202: startedRun('The run that carries out the approved lines is queued.') },
    faults: ['notFound', 'nothingWithheld', 'notConfigured', 'runActive', 'leaseLost'],
  },
};

function startedRun(description: string): DescribedAnswer {
  return { description, schema: answer.startedRun, example: example.startedRun, headers: LOCATION('run') };
}
