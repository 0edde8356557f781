/**
 * A login service: takes a user name and a password over HTTP and lets the auth function decide. It knows no directory
 * and tells strangers nothing. Run it behind a proxy that speaks TLS and limits requests by address.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { json } from 'node:stream/consumers';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';

/** Enough for the longest possible user name and password. */
const MAX_BODY_BYTES = 8_192;
/** Reasons that prove the password right. Some directories give the other reasons to guesses, too. */
const KNOWS_PASSWORD = ['passwordExpired', 'passwordMustChange'];

/** Signs device ids. Give all instances of the service the same; without it, a restart makes every device a new one. */
const DEVICE_KEY = process.env.DEVICE_KEY ?? randomBytes(32);
const YEAR_SECONDS = 365 * 24 * 60 * 60;

const lambda = new LambdaClient({});

function sign(device: string): string {
  return createHmac('sha256', DEVICE_KEY).update(device).digest('base64url');
}

/** The device of the cookie, if we signed it; else a new one. Rollcall lets known devices in while others guess. */
function deviceOf({ headers }: IncomingMessage): string {
  const { device, signature } =
    /(?:^|; )device=(?<device>[\w-]{22})\.(?<signature>[\w-]{43})(?:;|$)/.exec(headers.cookie ?? '')?.groups ?? {};
  const isOurs = device !== undefined && timingSafeEqual(Buffer.from(signature!), Buffer.from(sign(device)));
  return isOurs ? device : randomBytes(16).toString('base64url');
}

type Answer = readonly [status: number, body: object, headers?: Readonly<Record<string, string>>];

async function answer(request: IncomingMessage): Promise<Answer> {
  if (request.method !== 'POST' || request.url !== '/login') return [404, { error: 'notFound' }];
  // Node reads no more than this header says. Without the header, the comparison is with NaN and false.
  if (!(Number(request.headers['content-length']) <= MAX_BODY_BYTES)) return [413, { error: 'tooLarge' }];
  const { userName, password } = Object(await json(request).catch(() => null)) as Record<string, unknown>;
  if (typeof userName !== 'string' || typeof password !== 'string') return [400, { error: 'invalidRequest' }];

  const device = deviceOf(request);
  const Payload = JSON.stringify({ userName, password, source: device });
  const result = await lambda.send(new InvokeCommand({ FunctionName: process.env.AUTH_FUNCTION, Payload }));
  const login = JSON.parse(result.Payload!.transformToString());
  // DirectoryUnavailable and similar: the password can't be checked at the moment.
  if (result.FunctionError !== undefined) throw new Error(`${login.errorType}: ${login.errorMessage}`);
  if (login.outcome === 'accepted') {
    // Start your session here; key it on user.id.
    const cookie = `device=${device}.${sign(device)}; Max-Age=${YEAR_SECONDS}; Path=/login; HttpOnly; SameSite=Strict`;
    return [200, { user: login.user }, { 'set-cookie': `${cookie}; Secure` }];
  }
  if (login.reason === 'throttled') {
    return [429, { error: 'tooManyAttempts' }, { 'retry-after': String(login.retryAfterSeconds) }];
  }
  return [401, { error: KNOWS_PASSWORD.includes(login.reason) ? login.reason : 'invalidCredentials' }];
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [status, body, headers] = await answer(request).catch((error: Error): Answer => {
    // The message comes from the auth function or the SDK; neither quotes the event.
    console.error(`login: ${error.name}: ${error.message}`);
    return [503, { error: 'unavailable' }, { 'retry-after': '5' }];
  });
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers });
  response.end(JSON.stringify(body));
}

const server = createServer((request, response) => void serve(request, response));
server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${(server.address() as { port: number }).port}`);
});
