/**
 * A login service: takes a user name and a password over HTTP and lets the auth function decide. Knows no directory, and tells
 * a stranger nothing. In front of it belongs what speaks TLS, and counts requests by address.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { json } from 'node:stream/consumers';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';

/** The longest user name and password that anybody can have fit in. */
const MAX_BODY_BYTES = 8_192;
/** Given to whoever knows the password, and to nobody else. Every other reason some directory gives to guesses, too. */
const KNOWS_PASSWORD = ['passwordExpired', 'passwordMustChange'];

const lambda = new LambdaClient({});
type Answer = readonly [status: number, body: object, headers?: Readonly<Record<string, string>>];

async function answer(request: IncomingMessage): Promise<Answer> {
  if (request.method !== 'POST' || request.url !== '/login') return [404, { error: 'notFound' }];
  // Node reads no more than this header says. A body that comes without it has NaN bytes.
  if (!(Number(request.headers['content-length']) <= MAX_BODY_BYTES)) return [413, { error: 'tooLarge' }];
  const { userName, password } = Object(await json(request).catch(() => null)) as Record<string, unknown>;
  if (typeof userName !== 'string' || typeof password !== 'string') return [400, { error: 'invalidRequest' }];

  const Payload = JSON.stringify({ userName, password });
  const result = await lambda.send(new InvokeCommand({ FunctionName: process.env.AUTH_FUNCTION, Payload }));
  const login = JSON.parse(result.Payload!.transformToString());
  // DirectoryUnavailable and the like: nobody can tell now whether the password is right.
  if (result.FunctionError !== undefined) throw new Error(`${login.errorType}: ${login.errorMessage}`);
  if (login.outcome === 'accepted') return [200, { user: login.user }]; // Your session begins here; key it on user.id.
  if (login.reason === 'throttled') {
    return [429, { error: 'tooManyAttempts' }, { 'retry-after': String(login.retryAfterSeconds) }];
  }
  return [401, { error: KNOWS_PASSWORD.includes(login.reason) ? login.reason : 'invalidCredentials' }];
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [status, body, headers] = await answer(request).catch((error: Error): Answer => {
    console.error(`login: ${error.name}: ${error.message}`); // Of the auth function or the SDK; neither quotes the event.
    return [503, { error: 'unavailable' }, { 'retry-after': '5' }];
  });
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers });
  response.end(JSON.stringify(body));
}

const server = createServer((request, response) => void serve(request, response));
server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${(server.address() as { port: number }).port}`);
});
