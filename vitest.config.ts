import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Real servers are started by the files that need them; two files at a time is what two cores carry.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 120_000,
    // A test that leaves a timer, a socket or a child process behind is a fault, not noise.
    dangerouslyIgnoreUnhandledErrors: false,
    allowOnly: false,
    // Measured by `npm run coverage`, which leaves out the tests that start slow servers.
    coverage: { provider: 'v8', include: ['lib/**'], reporter: ['text', 'html', 'lcov'] },
    // The entry points wire themselves when they are imported, as on Lambda; nothing connects before it is used.
    env: {
      AWS_REGION: 'eu-central-1',
      AWS_ACCESS_KEY_ID: 'local',
      AWS_SECRET_ACCESS_KEY: 'local',
      USERS_TABLE: 'users',
      OPERATIONS_TABLE: 'operations',
      SETTINGS_SECRET: 'settings',
      ADMINISTRATOR_SECRET: 'administrator',
      SCHEDULE_NAME: 'synchronize',
      SCHEDULE_GROUP: 'rollcall',
      SYNC_FUNCTION: 'sync',
      EVENT_BUS: 'events',
    },
  },
});
