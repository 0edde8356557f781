/** Describes the calls about the settings. */
import { settings, triedSettings } from '../lib/administration/settings-schema.ts';
import * as answer from './answer.ts';
import { ETAG } from './call.ts';
import type { DescribedAnswer, DescribedCalls } from './call.ts';
import * as example from './example.ts';

const settingsAnswer: DescribedAnswer = {
  description: 'The settings.',
  schema: answer.shownSettings,
  example: example.shownSettings,
  headers: ETAG,
};

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
    description: 'Moves the schedule too. A password that is left out stays as it is stored.',
    ifMatch: true,
    body: { schema: settings, example: example.settingsDocument },
    answers: { 200: settingsAnswer },
    faults: ['conflict', 'versionMismatch'],
  },
  'POST /api/settings/test': {
    id: 'testSettings',
    tag: 'Settings',
    summary: 'Test settings',
    description:
      'Tries the settings in the body, or the stored ones where there is no body, stage by stage, and shows the ' +
      'first people they find. The user name need not be mapped yet. Changes nothing, and ends within 25 seconds.',
    body: { schema: triedSettings, example: example.settingsDocument, optional: true },
    answers: {
      200: { description: 'What was found.', schema: answer.settingsTest, example: example.settingsTest },
    },
    faults: ['notConfigured'],
  },
};
