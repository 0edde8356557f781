/** Describes the calls about the settings. Their schema is in lib/administration/settings-schema.ts. */
import * as z from 'zod';
import { settings, triedSettings } from '../lib/administration/settings-schema.ts';
import { ETAG } from './call.ts';
import type { DescribedAnswer, DescribedCalls } from './call.ts';
import * as example from './example.ts';
import * as answer from './settings-answer.ts';

const settingsAnswer: DescribedAnswer = {
  description: 'The settings.',
  schema: answer.shownSettings,
  example: example.shownSettings,
  headers: ETAG,
};

/** The calls under `/api/settings`. */
export const SETTINGS_CALLS: DescribedCalls = {
  'GET /api/settings': {
    id: 'getSettings',
    tag: 'Settings',
    summary: 'Show the settings',
    answers: { 200: settingsAnswer },
    faults: ['notFound'],
  },
  'PUT /api/settings': {
    id: 'saveSettings',
    tag: 'Settings',
    summary: 'Replace the settings',
    description:
      'Also updates the schedule. If you leave out the password, the stored one is kept; `connection.password` says ' +
      'when it has to be sent again. Without it, the answer is 422 with the path `connection.password`.',
    ifMatch: true,
    body: { schema: settings, example: example.settingsDocument },
    answers: { 200: settingsAnswer },
    faults: ['conflict', 'versionMismatch'],
  },
  'POST /api/settings/validate': {
    id: 'validateSettings',
    tag: 'Settings',
    summary: 'Check settings without saving them',
    description:
      'Answers what saving this document would say: every fault, or the warnings, and the next runs. Reaches no ' +
      'directory and saves nothing. A document with faults is answered with 200, too.',
    body: { schema: z.unknown(), example: example.settingsDocument },
    answers: {
      200: {
        description: 'The faults, the warnings and the next runs.',
        schema: answer.settingsValidation,
        example: example.settingsValidation,
      },
    },
  },
  'POST /api/settings/test': {
    id: 'testSettings',
    tag: 'Settings',
    summary: 'Test settings without saving them',
    description:
      'Tests the settings in the body, or the stored ones if there is no body, in stages, and shows the first people ' +
      'found. Unlike when saving, `mapping.userName` may be empty. Where saving would demand the password, the test ' +
      'ends before the bind with the stage `passwordNeeded`. Changes nothing, and ends within 25 seconds.',
    body: { schema: triedSettings, example: example.settingsDocument, optional: true },
    answers: {
      200: { description: 'The result of the test.', schema: answer.settingsTest, example: example.settingsTest },
    },
    faults: ['notConfigured'],
  },
};
