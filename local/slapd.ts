/**
 * Runs a real OpenLDAP server on this machine, for tests and for the demonstration directory: the installed one, or one
 * unpacked from the system's packages into a cache of this project. Installs nothing and leaves no process behind.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Certificates, makeCertificates } from './certificate.ts';
import { cacheFolder, systemName, unpackPackages } from './debian-package.ts';
import { startServer } from './server-process.ts';

const run = promisify(execFile);

const START_MS = 10_000;
const STOP_MS = 3000;

/** Address space, not disk space: enough for some millions of people. */
const MOST_DATA_BYTES = 16 * 1024 ** 3;

/** Options of an OpenLDAP server. */
export interface SlapdOptions {
  /** Contains configuration, data and log; created if missing. Earlier content is replaced. */
  readonly folder: string;
  /** The entries, the suffix's own first. In parts if they do not fit into one string. */
  readonly ldif: string | Iterable<string>;
  /** Keeps the entries of an earlier start in this folder, if there are any. Default false. */
  readonly keepEntries?: boolean;
  /** Default `dc=example,dc=com`. */
  readonly suffix?: string;
  /** Default `cn=admin,` and the suffix. No limit applies to it. */
  readonly rootDn?: string;
  /** Default `secret`. */
  readonly rootPassword?: string;
  /** Most entries that a search by any other DN returns. Default 500, the default of OpenLDAP. */
  readonly sizeLimit?: number;
  /** Values of olcLimits, for example `dn.exact="cn=reader,dc=example,dc=com" size.prtotal=unlimited`. */
  readonly limits?: readonly string[];
  /** Values of olcAccess, placed before the rules that let people bind and everybody read. */
  readonly access?: readonly string[];
  /** DN of the default password policy. The overlay and its attributes are always present. */
  readonly policyDn?: string;
  /** Refuses simple binds without encryption. Default false. */
  readonly requireEncryption?: boolean;
  /** Default: made for localhost and the loopback addresses. */
  readonly certificates?: Certificates;
  /** Further settings of TLS (slapd-config(5)), such as `olcTLSVerifyClient: demand`. */
  readonly tls?: readonly string[];
}

/** A running OpenLDAP server. */
export interface Slapd {
  readonly ldapPort: number;
  readonly ldapsPort: number;
  readonly suffix: string;
  readonly rootDn: string;
  readonly rootPassword: string;
  /** PEM of the authority to trust. */
  readonly caPem: string;
  readonly pid: number;
  /** Ends the server; resolves when its process has ended. May be called again. */
  stop(): Promise<void>;
}

/**
 * Starts a server with these entries on 127.0.0.1.
 * @throws Error with one line on how to install OpenLDAP if it can be neither found nor unpacked; with the server's own
 *   output if it does not start
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
    // A separate marker: an interrupted load leaves a database as well.
    await writeFile(join(folder, 'loaded'), '');
  }

  const server = await startServer(async (ldapPort, ldapsPort) => ({
    command: [
      installation.slapd,
      '-F',
      join(folder, 'config'),
      '-h',
      `ldap://127.0.0.1:${ldapPort}/ ldaps://127.0.0.1:${ldapsPort}/`,
      '-d',
      '0',
    ],
    folder,
    environment: installation.environment,
    startMs: START_MS,
    stopMs: STOP_MS,
  }));
  return {
    ldapPort: server.ports[0],
    ldapsPort: server.ports[1],
    suffix,
    rootDn,
    rootPassword,
    caPem: certificates.caPem,
    pid: server.pid,
    stop: () => server.stop(),
  };
}

interface Installation {
  readonly slapd: string;
  /** Folder of back_mdb and the overlays. */
  readonly modules: string;
  /** Folder of core.ldif and the other schemas. */
  readonly schemas: string;
  readonly environment: NodeJS.ProcessEnv;
}

async function findInstallation(): Promise<Installation> {
  const installed = inspect('');
  if (installed !== null) return escapeConfinement(installed);
  const unpacked = await unpackPackages(PACKAGES).then(inspect, () => null);
  return unpacked ?? Promise.reject(new Error(await installHint()));
}

// Of its dependencies, slapd loads only libraries; perl and ODBC serve back-ends that are not used here.
const PACKAGES = {
  name: 'slapd',
  wanted: ['slapd'],
  needs: (name: string): boolean => name.startsWith('lib') && !/^lib(perl|odbc)/.test(name),
};

/**
 * The installation below a root, or null. Knows the paths of Debian and Ubuntu, Fedora and its relatives, Arch,
 * Homebrew.
 */
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

/** AppArmor on Ubuntu confines /usr/sbin/slapd to its own folders. It goes by the path, so a copy is not confined. */
async function escapeConfinement(installation: Installation): Promise<Installation> {
  if (!existsSync(`/etc/apparmor.d/${installation.slapd.slice(1).replaceAll('/', '.')}`)) return installation;
  await mkdir(cacheFolder(), { recursive: true });
  const copy = join(cacheFolder(), `slapd-${await systemName()}-${process.arch}.copy`);
  const own = `${copy}.${process.pid}`;
  await copyFile(installation.slapd, own);
  await rename(own, copy);
  return { ...installation, slapd: copy };
}

async function installHint(): Promise<string> {
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '');
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
  const access = [
    ...(options.access ?? []),
    'to attrs=userPassword by anonymous auth by self write by * none',
    'to * by * read',
  ].map((rule, index) => `olcAccess: {${index}}${rule}`);
  const limits = (options.limits ?? []).map((limit) => `olcLimits: ${limit}`);
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
${(options.tls ?? []).map((line) => `${line}\n`).join('')}olcThreads: 4
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
    `dn: olcDatabase={0}config,cn=config
objectClass: olcDatabaseConfig
olcDatabase: {0}config
olcAccess: to * by * none
`,
    `dn: olcDatabase={1}mdb,cn=config
objectClass: olcDatabaseConfig
objectClass: olcMdbConfig
olcDatabase: {1}mdb
olcSuffix: ${options.suffix}
olcRootDN: ${options.rootDn}
olcRootPW: ${options.rootPassword}
olcDbDirectory: ${folder}/data
olcDbMaxSize: ${MOST_DATA_BYTES}
olcDbNoSync: TRUE
olcDbIndex: objectClass eq
olcDbIndex: uid,mail eq
olcDbIndex: cn,sn eq,sub
olcDbIndex: entryUUID eq
${[...limits, ...access].map((line) => `${line}\n`).join('')}`,
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
