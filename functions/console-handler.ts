/**
 * Serves the pages: files stored beside the bundle. They are open to everybody, so they contain nothing of this
 * deployment. Has no store, no secret and no permission; knows nothing of the pages' content.
 */
import { hash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { ServiceError } from '../lib/errors.ts';
import { serveRoutes } from './http.ts';
import type { Answer, Call, HttpHandler, Logger } from './http.ts';

/** The folder of the pages and the log. */
export interface ConsolePorts {
  /** Contains a folder for each page, with its files compressed: `docs/index.html.gz`. */
  readonly folder: string;
  readonly logger: Logger;
}

interface PageFile {
  readonly type: string;
  readonly compressed: Buffer;
  readonly entityTag: string;
}

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
};

/** A page loads only from its own origin and sends nothing elsewhere. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Makes the handler of the pages. */
export function makeHandler({ folder, logger }: ConsolePorts): HttpHandler {
  let docs: ReadonlyMap<string, PageFile> | undefined;

  async function serveDocs(call: Call): Promise<Answer> {
    docs ??= readFiles(path.join(folder, 'docs'));
    return serveFile(docs.get(call.params['file'] ?? 'index.html'), call);
  }

  return serveRoutes(
    [
      { method: 'GET', path: '/api/docs', handle: serveDocs },
      { method: 'GET', path: '/api/docs/{file}', handle: serveDocs },
    ],
    logger,
  );
}

/** All files of a page by name. Requests are looked up in this map and never used as paths. */
function readFiles(folder: string): ReadonlyMap<string, PageFile> {
  return new Map(
    readdirSync(folder).map((stored) => {
      const name = path.basename(stored, '.gz');
      const compressed = readFileSync(path.join(folder, stored));
      const type = TYPES[path.extname(name)] ?? 'application/octet-stream';
      // Weak, because it is the same for the compressed and the plain file.
      return [name, { type, compressed, entityTag: `W/"${hash('sha256', compressed).slice(0, 32)}"` }];
    }),
  );
}

function serveFile(file: PageFile | undefined, call: Call): Answer {
  if (file === undefined) throw new ServiceError('notFound', 'there is nothing at this address');
  const { type, compressed, entityTag } = file;
  const headers = {
    'content-security-policy': CONTENT_SECURITY_POLICY,
    // Cached but revalidated each time, so that a page never loads the scripts of another version.
    'cache-control': 'no-cache',
    vary: 'accept-encoding',
    etag: entityTag,
  };
  if (call.hasCopy(entityTag)) return { status: 304, headers };
  const content = { ...headers, 'content-type': type };
  return call.acceptsGzip
    ? { status: 200, headers: { ...content, 'content-encoding': 'gzip' }, bytes: compressed }
    : { status: 200, headers: content, bytes: gunzipSync(compressed) };
}
