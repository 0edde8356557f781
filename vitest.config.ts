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
    // Measured by `npm test`. The folders that decide about people have to be covered to the last branch but a few.
    coverage: {
      provider: 'v8',
      include: ['lib/**'],
      reporter: ['text-summary', 'html', 'lcov'],
      thresholds: {
        branches: 90,
        'lib/{sync,login}/**': { branches: 97 },
      },
    },
  },
});
