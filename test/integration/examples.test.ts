/**
 * The examples as people run them: real shells, curl, npx and Node, against the local program and an OpenLDAP
 * directory.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { BASE_DN, type DirectoryServer, type PersonFixture, READER } from '../support/directory-server.ts';
import {
  type ApiCall,
  type ServingProgram,
  signIn,
  START_MS,
  startLocalProgram,
  startProgram,
  synchronize,
} from '../support/local-program.ts';
import { startOpenLdap } from '../support/openldap.ts';

const ROOT = join(import.meta.dirname, '../..');
const PIPELINE = join(ROOT, 'examples/pipeline');
/** Contains characters that JSON has to escape. */
const PASSWORD = String.raw`first "password" of \the test`;
/** The password, however it is escaped. */
const SHOWN_PASSWORD = /first \\*"password/;
const LONG_AGO = '20200101000000Z';
const PLAIN_PEOPLE = 118;

interface Ended {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

const folder = mkdtempSync(join(tmpdir(), 'rollcall-examples-'));
const settingsFile = join(folder, 'settings.json');
const argumentsFile = join(folder, 'arguments');
let program: ServingProgram;
let directory: DirectoryServer;
let url: string;
let call: ApiCall;

const passwordOf = (userName: string): string => `Password 1 of ${userName}`;

function person(userName: string, attributes: PersonFixture['attributes'] = {}): PersonFixture {
  return { cn: userName, userName, below: 'ou=people', password: passwordOf(userName), attributes };
}

/** An environment with only the path to programs, after wrappers that note the arguments they are called with. */
const environment = (over: NodeJS.ProcessEnv = {}) => ({
  PATH: `${join(folder, 'bin')}:${process.env['PATH']}`,
  HOME: folder,
  TMPDIR: join(folder, 'tmp'),
  npm_config_cache: join(folder, 'npm'),
  npm_config_offline: 'true',
  ...over,
});

async function run(script: string, over: NodeJS.ProcessEnv, { cwd = ROOT, input = '' } = {}): Promise<Ended> {
  const child = spawn('sh', ['-c', script], { cwd, env: environment(over) });
  const texts = { output: '', errors: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (texts.output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (texts.errors += text));
  child.stdin.on('error', () => {}).end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...texts };
}

/** The settings of the example, changed to fit the directory of this test. */
function makeSettings(expression: string) {
  const document = JSON.parse(readFileSync(join(PIPELINE, 'settings.json'), 'utf8')) as {
    readonly connection: object;
    readonly options: { readonly schedule: object };
  };
  const { ldapPort, readerDn, caPem } = directory;
  const { connection, options } = document;
  const ours = { servers: [`127.0.0.1:${ldapPort}`], administrativeDn: readerDn, caCertificates: caPem };
  return {
    ...document,
    connection: { ...connection, ...ours },
    scope: { baseDn: BASE_DN, filter: '(&(objectClass=inetOrgPerson)(!(uid=reader)))' },
    options: { ...options, schedule: { ...options.schedule, expression } },
  };
}

function writeSettings(expression: string): void {
  writeFileSync(settingsFile, JSON.stringify(makeSettings(expression)));
}

async function savedExpression(): Promise<string> {
  const { options } = await call<{ options: { schedule: { expression: string } } }>('GET', '/api/settings');
  return options.schedule.expression;
}

/** The arguments that the wrappers have noted since the last call. */
function takeArguments(): string {
  const text = readFileSync(argumentsFile, 'utf8');
  writeFileSync(argumentsFile, '');
  return text;
}

beforeAll(async () => {
  for (const name of ['bin', 'tmp']) mkdirSync(join(folder, name));
  for (const name of ['curl', 'npx']) {
    const program = join(folder, 'bin', name);
    const script = `#!/bin/sh\nprintf '%s ' "$0" "$@" >>'${argumentsFile}'\nPATH=\${PATH#*:}\nexec ${name} "$@"\n`;
    writeFileSync(program, script);
    chmodSync(program, 0o755);
  }
  writeFileSync(argumentsFile, '');
  const policy = { objectClass: ['device', 'pwdPolicy'], pwdAttribute: ['userPassword'], pwdMaxAge: ['86400'] };
  program = startLocalProgram('--quiet', '--no-demo', '--admin-password', PASSWORD, '--data', join(folder, 'data'));
  [url, directory] = await Promise.all([
    program.address(),
    startOpenLdap({
      people: [
        ...Array.from({ length: PLAIN_PEOPLE }, (_, index) => person(`plain.${index}`)),
        person('expired', { pwdChangedTime: [LONG_AGO] }),
        person('disabled', { pwdAccountLockedTime: ['000001010000Z'] }),
      ],
      entries: [{ dn: `cn=policy,${BASE_DN}`, attributes: { ...policy, pwdLockout: ['TRUE'], pwdMaxFailure: ['3'] } }],
    }),
  ]);
  call = await signIn(url, PASSWORD);
  writeSettings('rate(1 hour)');
  const settings = makeSettings('rate(1 hour)');
  const connection = { ...settings.connection, password: directory.readerPassword };
  await call('PUT', '/api/settings', { ...settings, connection });
}, START_MS);

afterAll(async () => {
  await Promise.all([program.end(), directory?.stop()]);
  rmSync(folder, { recursive: true });
});

describe('the pipeline', () => {
  const secrets: Readonly<Record<string, string>> = {
    'deployer:userName': 'admin',
    'deployer:password': PASSWORD,
    'reader:password': READER.password!,
  };

  /** The commands that a build of the CloudFormation template runs, with the environment from the template. */
  function readTemplate(): {
    readonly install: string;
    readonly build: string;
    readonly environment: NodeJS.ProcessEnv;
  } {
    type Value = string | { readonly Ref: string } | { readonly Sub: string };
    const tag = (name: string) => ({ tag: `!${name}`, resolve: (text: string) => ({ [name]: text }) });
    const template = parse(readFileSync(join(PIPELINE, 'codebuild.yaml'), 'utf8'), {
      customTags: ['Ref', 'Sub', 'GetAtt'].map(tag),
    }) as {
      readonly Resources: {
        readonly Project: {
          readonly Properties: {
            readonly Source: { readonly BuildSpec: string };
            readonly Environment: {
              readonly EnvironmentVariables: readonly { Name: string; Type?: string; Value: Value }[];
            };
          };
        };
      };
    };
    const { Source, Environment } = template.Resources.Project.Properties;
    const parameters: Readonly<Record<string, string>> = {
      ApiUrl: url,
      SettingsFile: settingsFile,
      AdministratorSecret: 'deployer',
      BindSecret: 'reader',
    };
    const textOf = (value: Value): string | undefined => {
      if (typeof value === 'string') return value;
      if ('Ref' in value) return parameters[value.Ref];
      return value.Sub.replaceAll(/\$\{(\w+)\}/g, (_, name: string) => String(parameters[name]));
    };
    const variables = Environment.EnvironmentVariables.map(({ Name, Type, Value }) => {
      const text = textOf(Value);
      return [Name, Type === 'SECRETS_MANAGER' ? secrets[text ?? ''] : text];
    });
    const { phases } = parse(Source.BuildSpec) as {
      readonly phases: Readonly<Record<'install' | 'build', { readonly commands: readonly string[] }>>;
    };
    return {
      install: phases.install.commands.join('\n'),
      build: phases.build.commands.join('\n'),
      environment: Object.fromEntries(variables) as NodeJS.ProcessEnv,
    };
  }

  /** The command of local-exec with its environment, as Terraform runs it in the folder of the file. */
  function readTerraform(): { readonly command: string; readonly environment: NodeJS.ProcessEnv } {
    const text = readFileSync(join(PIPELINE, 'main.tf'), 'utf8');
    const command = JSON.parse(/^ +command += (".+")$/m.exec(text)![1]!) as string;
    const [, block] = /environment = \{\n(.+?)\n +\}/s.exec(text)!;
    const variables: Readonly<Record<string, string>> = {
      api_url: url,
      settings_file: settingsFile,
      administrator_user_name: 'admin',
      administrator_password: PASSWORD,
      bind_password: secrets['reader:password']!,
    };
    const declared = [...text.matchAll(/^variable "(\w+)"/gm)].map(([, name]) => name!);
    expect(declared.sort()).toEqual(Object.keys(variables).sort());
    const given = [...block!.matchAll(/^ +(\w+) += var\.(\w+)$/gm)];
    return {
      command: command.replaceAll('${path.module}', '.'),
      environment: Object.fromEntries(given.map(([, name, variable]) => [name, variables[variable!]])),
    };
  }

  test('of CloudFormation tests the settings and saves them, and shows no password and no person', async () => {
    const { install, build, environment } = readTemplate();
    writeSettings('rate(2 hours)');
    takeArguments();
    const { code, output, errors } = await run(build, environment);
    const called = takeArguments();
    const saved = await savedExpression();

    // Not run again: this checkout was installed with it.
    expect(install).toBe('npm ci');
    expect({ code, errors: errors.replaceAll(/^npm warn.*\n/gm, '') }).toEqual({ code: 0, errors: '' });
    expect(output).toMatch(
      /^Signed in to .+\n(?:.+\n)+\n120 people found, including:\nSaved\. .+\nSigned out of .+\n$/,
    );
    expect(saved).toBe('rate(2 hours)');
    expect(called).toMatch(/npx .* login .*npx .* settings set /);
    for (const text of [output, errors, called]) {
      expect(text).not.toMatch(SHOWN_PASSWORD);
      expect(text).not.toContain(secrets['reader:password']);
      expect(text).not.toContain('plain.');
    }
  });

  test('of Terraform runs a command that does the same', async () => {
    const { command, environment } = readTerraform();
    writeSettings('rate(3 hours)');
    const { code, output } = await run(command, environment, { cwd: PIPELINE });
    const saved = await savedExpression();

    expect(code).toBe(0);
    expect(output).toContain('\nSaved.');
    expect(saved).toBe('rate(3 hours)');
  });

  test('saves nothing when a step of the test fails', async () => {
    const before = await savedExpression();
    const { build, environment } = readTemplate();
    writeSettings('rate(4 hours)');
    const { code, output } = await run(build, { ...environment, BIND_PASSWORD: 'a wrong bind password' });
    const after = await savedExpression();

    expect(code).toBe(3);
    expect(output).toMatch(/^bind +failed /m);
    expect(output).not.toContain('a wrong bind password');
    expect(after).toBe(before);
  });

  test('tells that it can not sign in, and which of its variables is missing', async () => {
    const { build, environment } = readTemplate();
    const { BIND_PASSWORD: _missing, ...others } = environment;
    const stranger = await run(build, { ...environment, ROLLCALL_PASSWORD: 'guessed' });
    const incomplete = await run(build, others);

    expect(stranger).toMatchObject({ code: 5, errors: expect.stringContaining('(notAuthenticated)') as string });
    expect(incomplete.code).not.toBe(0);
    expect(incomplete.errors).toContain('BIND_PASSWORD');
  });
});

describe('session.sh', () => {
  const script = 'examples/session.sh';

  test('signs in, tries a run without changing anything, reads it to its last page, and signs out', async () => {
    const before = await call<{ items: unknown[] }>('GET', '/api/users');
    takeArguments();
    const { code, output, errors } = await run(`${script} ADM`, { ROLLCALL_URL: url, ROLLCALL_PASSWORD: PASSWORD });
    const called = takeArguments();
    const after = await call<{ items: unknown[] }>('GET', '/api/users');
    const documents = output
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { status?: string; items?: { userName: string }[] });
    const [settings, dryRun, firstPage, lastPage, users] = documents;

    expect(code).toBe(0);
    expect(errors).toMatch(
      /^Settings:\nRun \S+ has been started \.\.\.\nThe dry run:\nWhat it would do:\nWhat it would do:\nUsers:\n$/,
    );
    expect(settings).toHaveProperty('connection.passwordSet', true);
    expect(dryRun).toMatchObject({ dryRun: true, trigger: 'api', status: 'succeeded', totals: { created: 120 } });
    expect(firstPage?.items).toHaveLength(100);
    expect(lastPage?.items).toHaveLength(20);
    expect(users?.items?.map(({ userName }) => userName)).toEqual(['admin']);
    expect(documents).toHaveLength(5);
    expect(after.items).toHaveLength(before.items.length);
    expect(called).toMatch(/-X DELETE .+\/api\/session /);
    expect(output + errors + called).not.toMatch(SHOWN_PASSWORD);
    expect(readdirSync(join(folder, 'tmp')).filter((name) => name.startsWith('tmp.'))).toEqual([]);
  });

  test('takes the password from standard input, and stops with the problem document where it is wrong', async () => {
    const { code, output, errors } = await run(script, { ROLLCALL_URL: url }, { input: 'guessed\n' });

    expect(code).toBe(1);
    expect(output).toBe('');
    expect(errors).toMatch(
      /^session\.sh: POST \/api\/session was answered with 401:\n\{.*"code":"notAuthenticated".*\}\n$/,
    );
    expect(errors).not.toContain('guessed');
  });

  test('sends no password over the network without encryption', async () => {
    takeArguments();
    const { code } = await run(script, { ROLLCALL_URL: 'http://rollcall.example.com', ROLLCALL_PASSWORD: PASSWORD });

    expect(code).toBe(2);
    expect(takeArguments()).toBe('');
  });
});

describe('login-service.ts', () => {
  let service: ServingProgram;
  let address: string;

  beforeAll(async () => {
    await synchronize(call);
    const own = environment({
      PORT: '0',
      AUTH_FUNCTION: 'auth',
      AWS_ENDPOINT_URL_LAMBDA: url,
      AWS_REGION: 'local',
      AWS_ACCESS_KEY_ID: 'local',
      AWS_SECRET_ACCESS_KEY: 'local',
    });
    service = startProgram('examples/login-service.ts', [], own);
    address = await service.address();
  }, 40_000);

  afterAll(() => service.end());

  async function post(body: string, path = '/login') {
    const response = await fetch(`${address}${path}`, { method: 'POST', body });
    return {
      status: response.status,
      body: await response.json(),
      retryAfter: response.headers.get('retry-after'),
    };
  }

  const logIn = (userName: string, password = passwordOf(userName)) => post(JSON.stringify({ userName, password }));

  const refused = (status: number, error: string) => ({ status, body: { error }, retryAfter: null });

  test('makes the same call as the curl of docs/login.md, which is answered', async () => {
    const page = readFileSync(join(ROOT, 'docs/login.md'), 'utf8');
    const [, script] = /\*\*curl\*\*\n\n```\n(.*?)```/su.exec(page)!;
    const ours = script!
      .replace('http://127.0.0.1:8080', url)
      .replace('demo-anna.weber', passwordOf('plain.0'))
      .replace('anna.weber', 'plain.0');

    const { output } = await run(ours, {});

    expect(JSON.parse(output)).toMatchObject({ outcome: 'accepted', user: { userName: 'plain.0' } });
  });

  test('lets in who has the right password', async () => {
    const answer = await logIn('plain.0');

    expect(answer).toMatchObject({ status: 200, body: { user: { userName: 'plain.0', privileges: ['login'] } } });
  });

  test('tells a stranger nothing about who exists, and who is disabled or locked', async () => {
    for (let failure = 0; failure < 3; failure += 1) await logIn('plain.2', 'guessed');
    const answers = [
      await logIn('plain.0', 'guessed'),
      await logIn('nobody', 'guessed'),
      await logIn('disabled'),
      await logIn('disabled', 'guessed'),
      // Locked by now: the directory says so for every password.
      await logIn('plain.2'),
      await logIn('expired', 'guessed'),
      await logIn('plain.0', ''),
    ];

    expect(answers).toEqual(answers.map(() => refused(401, 'invalidCredentials')));
  });

  test('tells that a password has expired to who knows it', async () => {
    expect(await logIn('expired')).toEqual(refused(401, 'passwordExpired'));
  });

  test('says when to come back after too many failures, of somebody and of nobody alike', async () => {
    for (const name of ['plain.1', 'nobody.else']) {
      for (let failure = 0; failure < 5; failure += 1) await logIn(name, 'guessed');
      const answer = await logIn(name);

      expect(answer).toMatchObject({ status: 429, body: { error: 'tooManyAttempts' } });
      expect(Number(answer.retryAfter)).toBeGreaterThan(0);
    }
  });

  test('knows a device again that it has let in, while others guess, and no device that it has not signed', async () => {
    const from = async (device: string) => {
      const body = JSON.stringify({ userName: 'owner', password: passwordOf('owner') });
      const response = await fetch(`${address}/login`, { method: 'POST', body, headers: { cookie: `a=b; ${device}` } });
      return { status: response.status, cookie: response.headers.get('set-cookie')?.split(';')[0] ?? null };
    };
    // The directory of these tests locks an account after three failures, so the owner is an integrated user.
    await call('POST', '/api/users', { userName: 'owner', privileges: ['login'] });
    await call('PUT', '/api/users/owner/password', { password: passwordOf('owner') });
    const { cookie } = await from('');
    for (let failure = 0; failure < 5; failure += 1) await logIn('owner', 'guessed');

    expect(await from(cookie!)).toEqual({ status: 200, cookie });
    expect(await from('')).toMatchObject({ status: 429 });
    expect(await from(cookie!.replace(/.$/u, (last) => (last === 'A' ? 'Q' : 'A')))).toMatchObject({ status: 429 });
  });

  test('refuses what is no login', async () => {
    const answers = await Promise.all([
      post('{"userName": "plain.0", "password": '),
      post('null'),
      post('{"userName": "plain.0"}'),
      post(JSON.stringify({ userName: 'plain.0', password: 'x'.repeat(10_000) })),
      post('{}', '/elsewhere'),
    ]);

    expect(answers).toEqual([
      refused(400, 'invalidRequest'),
      refused(400, 'invalidRequest'),
      refused(400, 'invalidRequest'),
      refused(413, 'tooLarge'),
      refused(404, 'notFound'),
    ]);
  });

  test('answers for nobody while the directory is stopped, and never logs a password', async () => {
    await directory.stop();
    const right = await logIn('plain.0');

    expect(right).toEqual({ status: 503, body: { error: 'unavailable' }, retryAfter: '5' });
    expect(service.errors()).toContain('DirectoryUnavailable');
    expect(service.output() + service.errors()).not.toMatch(/Password 1 of|guessed|plain\.0/);
  });
});
