/** `npm run openapi`: writes the description where people and tools look for it, and where the API function takes it from. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describeApi } from './document.ts';
import { DESCRIPTION_FILES } from './file.ts';

const description = describeApi();
for (const { name, render } of DESCRIPTION_FILES) {
  writeFileSync(path.join(import.meta.dirname, '..', name), render(description));
}
