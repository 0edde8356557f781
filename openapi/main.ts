/** `npm run openapi`: writes every file that is generated from the schemas. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describeApi } from './document.ts';
import { DESCRIPTION_FILES } from './file.ts';

const description = describeApi();
for (const { name, render } of DESCRIPTION_FILES) {
  writeFileSync(path.join(import.meta.dirname, '..', name), render(description));
}
