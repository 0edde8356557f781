/** The tests that judge each mutant: those of the pure core, which take seconds and start no server. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { include: ['test/unit/**/*.test.ts'] },
});
