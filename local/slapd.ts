/**
 * A real OpenLDAP server on this machine, for tests and for the demonstration directory: found where it is installed, or unpacked
 * from the system's packages into a cache of this project. Installs nothing and leaves no process behind.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import { type Certificates, makeCertificates } from './certificate.ts';

const run = promisify(execFile);

/** Ports are found free and then taken, so somebody else may be faster. */
const START_ATTEMPTS = 3;
const START_MS = 10_000;
const STOP_MS = 3000;

export interface SlapdOptions {
  /** Holds configuration, data and log; made if it is not there. What was in it before is replaced. */
  readonly folder: string;
  /** The entries, the suffix's own first. */
  readonly ldif: string;
  /** Goes on with the entries of an earlier start in this folder, if there was one. Default false. */
  readonly keepEntries?: boolean;
  /** Default `dc=example,dc=com`. */
  readonly suffix?: string;
  /** Default `cn=admin,` and the suffix. No limit holds for it. */
  readonly rootDn?: string;
  /** Default `secret`. */
  readonly rootPassword?: string;
  /** Entries that a search of anybody else returns. Default 500, as OpenLDAP has it. */
  readonly sizeLimit?: number;
  /** Values of olcLimits, for example `dn.exact="cn=reader,dc=example,dc=com" size.prtotal=unlimited`. */
  readonly limits?: readonly string[];
  /** DN of the entry with the password policy for everybody. The overlay is there in any case, and with it its attributes. */
  readonly policyDn?: string;
  /** Refuses simple binds without encryption. Default false. */
  readonly requireEncryption?: boolean;
  /** Default: made for localhost and the loopback addresses. */
  readonly certificates?: Certificates;
}

export interface Slapd {
  readonly ldapPort: number;
  readonly ldapsPort: number;
  readonly suffix: string;
  readonly rootDn: string;
  readonly rootPassword: string;
  /** The authority to trust. */
  readonly caPem: string;
  readonly pid: number;
  /** Ends the server; resolves when its process is gone. May be called again. */
  stop(): Promise<void>;
}

/**
 * Starts a server on 127.0.0.1 with these entries.
 * @throws Error with one line on how to install OpenLDAP where it can be neither found nor unpacked; with the server's own words
 * where it does not start
 */
export async function startSlapd(options: SlapdOptions): Promise<Slapd> {
  const installation = await findInstallation();
  const { folder, suffix = 'dc=example,dc=com', rootPassword = 'secret' } = options;
  const rootDn = options.rootDn ?? `cn=admin,${suffix}`;
  const certificates = options.certificates ?? makeCertificates();
  const kept = options.keepEntries === true && existsSync(join(folder, 'loaded'));
  const replaced = kept ? ['config'] : ['config', 'data', 'loaded'];
  await Promise.all(replaced.map((name) => rm(join(folder, name), { recursive: true, force: true })));
  await Promise.all(['config', 'data'].map((name) => mkdir(join(folder, name), { recursive: true })));
  await writeFile(join(folder, 'ca.pem'), certificates.caPem);
  await writeFile(join(folder, 'server.pem'), certificates.certificatePem);
  await writeFile(join(folder, 'server.key'), certificates.keyPem, { mode: 0o600 });
  await writeFile(
    join(folder, 'config.ldif'),
    await configuration(installation, { ...options, suffix, rootDn, rootPassword }),
  );
  await writeFile(join(folder, 'entries.ldif'), options.ldif);
  await add(installation, folder, ['-n', '0', '-l', 'config.ldif']);
  if (!kept) {
    await add(installation, folder, ['-q', '-n', '1', '-l', 'entries.ldif']);
    // A mark of its own: an interrupted load leaves a database, too.
    await writeFile(join(folder, 'loaded'), '');
  }

  for (let attempt = 1; ; attempt += 1) {
    const [ldapPort, ldapsPort] = await freePorts();
    const server = await launch(installation, folder, ldapPort, ldapsPort);
    if (server !== null) {
      return { ldapPort, ldapsPort, suffix, rootDn, rootPassword, caPem: certificates.caPem, ...server };
    }
    if (attempt === START_ATTEMPTS) throw new Error(`slapd did not start: ${await lastWords(folder)}`);
  }
}

interface Installation {
  readonly slapd: string;
  /** Folder of back_mdb and the overlays. */
  readonly modules: string;
  /** Folder of core.ldif and its like. */
  readonly schemas: string;
  readonly environment: NodeJS.ProcessEnv;
}

async function findInstallation(): Promise<Installation> {
  const installed = inspect('');
  if (installed !== null) return escapeConfinement(installed);
  const folder = join(cacheFolder(), `slapd-${await systemName()}-${process.arch}`);
  const unpacked = inspect(folder);
  if (unpacked !== null) return unpacked;
  if (!existsSync('/usr/bin/apt-get')) throw new Error(await installHint());
  return (await unpackPackages(folder)) ?? Promise.reject(new Error(await installHint()));
}

/** An installation below a root, or null. Debian and Ubuntu, Fedora and its relatives, Arch, Homebrew. */
function inspect(root: string): Installation | null {
  const first = (paths: readonly string[], file = ''): string | undefined =>
    paths.map((path) => `${root}${path}`).find((path) => existsSync(join(path, file)));
  const onPath = root === '' ? (process.env.PATH ?? '').split(':').map((folder) => join(folder, 'slapd')) : [];
  const slapd = first([...onPath, '/usr/sbin/slapd', '/usr/local/sbin/slapd', '/usr/libexec/slapd', '/usr/lib/slapd']);
  const schemas = first(
    ['/etc/ldap/schema', '/etc/openldap/schema', '/usr/local/etc/openldap/schema', '/opt/homebrew/etc/openldap/schema'],
    'core.ldif',
  );
  const modules = first(
    ['/usr/lib/ldap', '/usr/lib64/openldap', '/usr/lib/openldap', '/usr/local/libexec/openldap'],
    'ppolicy.so',
  );
  if (slapd === undefined || schemas === undefined || modules === undefined) return null;
  const triplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
  const libraries = [`${root}/usr/lib/${triplet}`, `${root}/lib/${triplet}`].join(':');
  return { slapd, modules, schemas, environment: root === '' ? {} : { LD_LIBRARY_PATH: libraries } };
}

/** Ubuntu confines /usr/sbin/slapd by AppArmor to its own folders. The confinement goes by the path, so a copy is free of it. */
async function escapeConfinement(installation: Installation): Promise<Installation> {
  if (!existsSync(`/etc/apparmor.d/${installation.slapd.slice(1).replaceAll('/', '.')}`)) return installation;
  await mkdir(cacheFolder(), { recursive: true });
  const copy = join(cacheFolder(), `slapd-${await systemName()}-${process.arch}.copy`);
  const own = `${copy}.${process.pid}`;
  await copyFile(installation.slapd, own);
  await rename(own, copy);
  return { ...installation, slapd: copy };
}

/**
 * Downloads the packages and unpacks them, beside each other where several processes do so: the first to finish is the one that
 * counts. Needs no root. Package lists that are missing are fetched into the cache, never into the system.
 */
async function unpackPackages(folder: string): Promise<Installation | null> {
  await mkdir(cacheFolder(), { recursive: true });
  const work = await mkdtemp(`${folder}.`);
  try {
    const ownLists = ['state', 'cache'].map((name) => join(work, name));
    await Promise.all(
      [...ownLists, join(ownLists[0]!, 'lists/partial'), join(ownLists[1]!, 'archives/partial')].map(makeFolder),
    );
    const own = [
      '-o',
      `Dir::State=${ownLists[0]}`,
      '-o',
      `Dir::Cache=${ownLists[1]}`,
      '-o',
      'Dir::State::status=/var/lib/dpkg/status',
    ];
    if (!(await download(work, []))) {
      await run('apt-get', [...APT_OPTIONS, ...own, 'update', '-q'], { cwd: work });
      if (!(await download(work, own))) return null;
    }
    const root = join(work, 'root');
    await makeFolder(root);
    const { stdout } = await run('find', [work, '-maxdepth', '1', '-name', '*.deb']);
    for (const file of stdout.trim().split('\n')) await run('dpkg', ['-x', file, root]);
    if (inspect(root) === null) return null;
    await rename(root, folder).catch(() => {
      // Another process was first; what it unpacked is the same.
    });
    return inspect(folder);
  } catch {
    return null;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

const APT_OPTIONS = ['-o', 'Debug::NoLocking=1', '-o', 'APT::Sandbox::User='];

/** Whether the packages that slapd needs and that are not installed are in the folder now. */
async function download(folder: string, options: readonly string[]): Promise<boolean> {
  try {
    const all = [...APT_OPTIONS, ...options];
    const { stdout } = await run('apt-get', [...all, '-s', '--no-install-recommends', 'install', 'slapd']);
    const packages = [...stdout.matchAll(/^Inst (\S+)/gm)].map(([, name]) => name!);
    // Of what it depends on it loads libraries; perl and ODBC serve back-ends that are not used here.
    const needed = packages.filter(
      (name) => name === 'slapd' || (name.startsWith('lib') && !/^lib(perl|odbc)/.test(name)),
    );
    await run('apt-get', [...all, '-q', 'download', ...needed], { cwd: folder });
    return needed.includes('slapd');
  } catch {
    return false;
  }
}

async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
}

function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'rollcall');
}

async function osRelease(): Promise<string> {
  return readFile('/etc/os-release', 'utf8').catch(() => '');
}

async function systemName(): Promise<string> {
  const release = await osRelease();
  const field = (name: string): string => new RegExp(`^${name}="?([^"\n]*)`, 'm').exec(release)?.[1] ?? '';
  return `${field('ID') || process.platform}${field('VERSION_ID')}`;
}

async function installHint(): Promise<string> {
  const release = await osRelease();
  const how = /debian|ubuntu/i.test(release)
    ? 'run "apt-get update" (as root) and try again, or "apt-get install slapd"'
    : /fedora|rhel|centos|suse/i.test(release)
      ? 'run "dnf install openldap-servers" (as root)'
      : /arch/i.test(release)
        ? 'run "pacman -S openldap" (as root)'
        : process.platform === 'darwin'
          ? 'run "brew install openldap" and put its slapd on the PATH'
          : 'install the OpenLDAP server of this system and put slapd on the PATH';
  return `OpenLDAP (slapd) was not found and could not be unpacked: ${how}`;
}

type FullOptions = SlapdOptions & Required<Pick<SlapdOptions, 'suffix' | 'rootDn' | 'rootPassword'>>;

/** The server's configuration (slapd-config(5)) as LDIF. */
async function configuration({ modules, schemas }: Installation, options: FullOptions): Promise<string> {
  const { folder } = options;
  const files = ['core', 'cosine', 'inetorgperson', 'nis'].map((name) =>
    readFile(join(schemas, `${name}.ldif`), 'utf8'),
  );
  const schemaEntries = await Promise.all(files);
  return [
    `dn: cn=config
objectClass: olcGlobal
cn: config
olcTLSCACertificateFile: ${folder}/ca.pem
olcTLSCertificateFile: ${folder}/server.pem
olcTLSCertificateKeyFile: ${folder}/server.key
olcThreads: 4
olcLogLevel: none
${options.requireEncryption ? 'olcSecurity: simple_bind=128\n' : ''}`,
    `dn: cn=module{0},cn=config
objectClass: olcModuleList
cn: module{0}
olcModulePath: ${modules}
${existsSync(join(modules, 'back_mdb.so')) ? 'olcModuleLoad: back_mdb.so\n' : ''}olcModuleLoad: ppolicy.so
`,
    'dn: cn=schema,cn=config\nobjectClass: olcSchemaConfig\ncn: schema\n',
    ...schemaEntries,
    `dn: olcDatabase={-1}frontend,cn=config
objectClass: olcDatabaseConfig
objectClass: olcFrontendConfig
olcDatabase: {-1}frontend
olcSizeLimit: ${options.sizeLimit ?? 500}
`,
    'dn: olcDatabase={0}config,cn=config\nobjectClass: olcDatabaseConfig\nolcDatabase: {0}config\nolcAccess: to * by * none\n',
    `dn: olcDatabase={1}mdb,cn=config
objectClass: olcDatabaseConfig
objectClass: olcMdbConfig
olcDatabase: {1}mdb
olcSuffix: ${options.suffix}
olcRootDN: ${options.rootDn}
olcRootPW: ${options.rootPassword}
olcDbDirectory: ${folder}/data
olcDbMaxSize: 1073741824
olcDbNoSync: TRUE
olcDbIndex: objectClass eq
olcDbIndex: uid,mail eq
olcDbIndex: cn,sn eq,sub
olcDbIndex: entryUUID eq
${(options.limits ?? []).map((limit) => `olcLimits: ${limit}\n`).join('')}olcAccess: {0}to attrs=userPassword by anonymous auth by self write by * none
olcAccess: {1}to * by * read
`,
    `dn: olcOverlay={0}ppolicy,olcDatabase={1}mdb,cn=config
objectClass: olcOverlayConfig
objectClass: olcPPolicyConfig
olcOverlay: {0}ppolicy
olcPPolicyUseLockout: TRUE
${options.policyDn === undefined ? '' : `olcPPolicyDefault: ${options.policyDn}\n`}`,
  ].join('\n');
}

async function add({ slapd, environment }: Installation, folder: string, options: readonly string[]): Promise<void> {
  const settings = { cwd: folder, env: { ...process.env, ...environment } };
  try {
    await run(slapd, ['-T', 'add', '-F', join(folder, 'config'), ...options], settings);
  } catch (error) {
    throw new Error(
      `slapadd refused ${options.at(-1)}: ${(error as { stderr?: string }).stderr?.trim() ?? 'no reason given'}`,
      {
        cause: error,
      },
    );
  }
}

// The shell turns into slapd, so its process is ours. Beside it waits a watcher for the end of its input, which comes when this
// process ends in whatever way, and takes the server along. slapd sizes its tables by the number of files it may open.
const LAUNCHER = `ulimit -n 2048 2>/dev/null
exec 3<&0
( trap '' TERM INT; read -r _ <&3; kill -KILL $$ ) >/dev/null 2>&1 &
exec "$@" </dev/null 3<&- >slapd.log 2>&1`;

async function launch(
  { slapd, environment }: Installation,
  folder: string,
  ldapPort: number,
  ldapsPort: number,
): Promise<Pick<Slapd, 'pid' | 'stop'> | null> {
  const urls = `ldap://127.0.0.1:${ldapPort}/ ldaps://127.0.0.1:${ldapsPort}/`;
  const server = spawn('sh', ['-c', LAUNCHER, 'sh', slapd, '-F', join(folder, 'config'), '-h', urls, '-d', '0'], {
    cwd: folder,
    env: { ...process.env, ...environment },
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const gone = (): boolean => server.exitCode !== null || server.signalCode !== null;
  const exited = once(server, 'exit');
  server.stdin.on('error', () => {});

  async function stop(): Promise<void> {
    if (gone()) return;
    server.kill('SIGTERM');
    await Promise.race([exited, sleep(STOP_MS, undefined, { ref: false })]);
    if (!gone()) server.kill('SIGKILL');
    await exited;
  }

  const givesUpAt = Date.now() + START_MS;
  while (!gone() && Date.now() < givesUpAt) {
    if ((await listens(ldapPort)) && (await listens(ldapsPort))) return { pid: server.pid!, stop };
    await sleep(20);
  }
  await stop();
  return null;
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()];
  const ports = servers.map(async (server) => {
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return (server.address() as { port: number }).port;
  });
  const [ldapPort, ldapsPort] = await Promise.all(ports);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return [ldapPort!, ldapsPort!];
}

async function lastWords(folder: string): Promise<string> {
  const log = await readFile(join(folder, 'slapd.log'), 'utf8').catch(() => '');
  return log.trim().split('\n').slice(-3).join('; ') || 'it left no message';
}
