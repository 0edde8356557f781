/**
 * 389 Directory Server for tests: only ns-slapd, unpacked from Debian's packages, without installer and systemd.
 * @see https://www.port389.org/docs/389ds/howto/quickstart.html and cn=config in the server's own template-dse.ldif
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { type Certificates, makeCertificates, makeKeyStore } from '../../local/certificate.ts';
import { unpackPackages } from '../../local/debian-package.ts';
import { startServer } from '../../local/server-process.ts';
import {
  BASE_DN,
  type DirectoryServer,
  type DirectoryServerOptions,
  dnOf,
  HIDDEN,
  makeServerFolder,
  READER,
  SIZE_LIMIT,
  standardEntries,
  toLdif,
  USUAL,
  type FixtureEntry,
} from './directory-server.ts';
import { copyPrepared } from './prepared-folder.ts';

const run = promisify(execFile);

const ROOT_DN = 'cn=Directory Manager';
const ROOT_PASSWORD = 'Manager Pass 1';
const START_MS = 60_000;

// Only what ns-slapd itself loads: no installer, no manual pages, no SNMP.
const PACKAGES = {
  name: '389-ds',
  wanted: ['389-ds-base', '389-ds-base-libs', 'libnss3', 'libnss3-tools', 'libnspr4'],
  needs: (name: string): boolean => name.startsWith('lib') && !/^lib(.*-perl|.*-dev|pci|snmp)/.test(name),
};

interface Installation {
  readonly root: string;
  readonly server: string;
  readonly plugins: string;
  readonly environment: NodeJS.ProcessEnv;
}

async function findInstallation(): Promise<Installation> {
  const root = await unpackPackages(PACKAGES);
  const libraries = join(root, 'usr/lib', process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu');
  const folders = ['', 'dirsrv', 'dirsrv/plugins', 'nss'].map((name) => join(libraries, name));
  return {
    root,
    server: join(root, 'usr/sbin/ns-slapd'),
    plugins: join(libraries, 'dirsrv/plugins'),
    environment: { ...process.env, LD_LIBRARY_PATH: folders.join(':'), SASL_PATH: join(libraries, 'sasl2') },
  };
}

/**
 * Starts 389 Directory Server.
 * @throws Error with one line that says what is missing and why
 */
export async function startDs389(options: DirectoryServerOptions): Promise<DirectoryServer> {
  const installation = await findInstallation();
  const { certificates = makeCertificates({ names: ['127.0.0.1'] }) } = options;
  const folder = await makeServerFolder('ds389');
  try {
    const ldif = toLdif([...loadedEntries(options), ...(options.entries ?? [])]);
    const madeOf = [installation.root, await readFile(import.meta.filename, 'utf8'), ldif];
    await copyPrepared('ds389', madeOf, (path) => load(installation, path, ldif), folder.path);
    // The server names its semaphore after this folder, and two servers must not share one.
    const configuration = join(folder.path, basename(folder.path));
    await rename(join(folder.path, 'config'), configuration);
    await importCertificate(installation, configuration, certificates);
    const server = await startServer(async (ldapPort, ldapsPort) => {
      await writeConfiguration(installation, configuration, { ldapPort, ldapsPort });
      return {
        command: [installation.server, '-D', configuration, '-i', join(folder.path, 'run/pid'), '-d', '0'],
        folder: folder.path,
        environment: installation.environment,
        startMs: START_MS,
        // Its folder is removed, so it need not shut down cleanly.
        stopMs: 0,
      };
    });
    return {
      ...USUAL,
      product: 'ds389',
      name: '389 Directory Server',
      ldapPort: server.ports[0],
      ldapsPort: server.ports[1],
      rootDn: ROOT_DN,
      rootPassword: ROOT_PASSWORD,
      caPem: certificates.caPem,
      idAttribute: 'nsUniqueId',
      async stop() {
        await server.stop();
        await folder.remove();
        await rm(`/dev/shm/sem.${basename(folder.path)}.stats`, { force: true });
      },
    };
  } catch (error) {
    await folder.remove();
    throw error;
  }
}

/** The people. On this server, access rights are attributes of the entries they apply to. */
function loadedEntries({ people }: DirectoryServerOptions): FixtureEntry[] {
  const reader = dnOf(READER);
  const everybody = `(version 3.0; acl "people read"; allow (read, search, compare) userdn = "ldap:///anyone";)`;
  const notTheReader = `(version 3.0; acl "hidden"; deny (all) userdn = "ldap:///${reader}";)`;
  const limits = { nsSizeLimit: [`${SIZE_LIMIT}`], nsPagedSizeLimit: ['-1'], nsLookThroughLimit: ['-1'] };
  return standardEntries(
    [{ ...READER, attributes: limits }, ...people],
    { nsAccountLock: ['true'] },
    {
      '': { aci: [`(targetattr != "userPassword")${everybody}`] },
      [HIDDEN]: { aci: [`(targetattr = "*")${notTheReader}`] },
    },
  );
}

/** Makes a server's folder with these entries, ready for the first start. */
async function load(installation: Installation, folder: string, ldif: string): Promise<void> {
  for (const name of ['config/schema', 'db', 'ldif', 'bak', 'log', 'lock', 'run', 'tmp']) {
    await mkdir(join(folder, name), { recursive: true, mode: 0o700 });
  }
  const { root } = installation;
  for (const name of ['certmap.conf', 'slapd-collations.conf']) {
    await cp(join(root, 'etc/dirsrv/config', name), join(folder, 'config', name));
  }
  await cp(join(root, 'usr/share/dirsrv/schema'), join(folder, 'config/schema'), { recursive: true });
  await cp(join(root, 'etc/dirsrv/schema'), join(folder, 'config/schema'), { recursive: true });
  await writeConfiguration(installation, join(folder, 'config'), { ldapPort: 389, ldapsPort: 0 });
  const file = join(folder, 'ldif/people.ldif');
  await writeFile(file, ldif);
  const load = ['ldif2db', '-D', join(folder, 'config'), '-n', 'userRoot', '-i', file];
  await run(installation.server, load, { env: installation.environment }).catch((error: unknown) => {
    throw new Error(`ldif2db could not load the people: ${(error as { stderr: string }).stderr.trim()}`, {
      cause: error,
    });
  });
  await rm(file);
}

/** Writes dse.ldif from the template of the package. The server changes the file, so every start writes it again. */
async function writeConfiguration(
  { root, plugins }: Installation,
  configuration: string,
  { ldapPort, ldapsPort }: { readonly ldapPort: number; readonly ldapsPort: number },
): Promise<void> {
  const template = await readFile(join(root, 'usr/share/dirsrv/data/template-dse.ldif'), 'utf8');
  const folder = dirname(configuration);
  const inFolder = (name: string): string => join(folder, name);
  const values: Readonly<Record<string, string>> = {
    schema_dir: join(configuration, 'schema'),
    lock_dir: inFolder('lock'),
    tmp_dir: inFolder('tmp'),
    cert_dir: configuration,
    ldif_dir: inFolder('ldif'),
    bak_dir: inFolder('bak'),
    run_dir: inFolder('run'),
    inst_dir: folder,
    log_dir: inFolder('log'),
    fqdn: 'localhost',
    ds_port: `${ldapPort}`,
    ds_user: userInfo().username,
    rootdn: ROOT_DN,
    // The server refuses a clear-text password here.
    ds_passwd: `{SHA}${createHash('sha1').update(ROOT_PASSWORD).digest('base64')}`,
    ds_suffix: BASE_DN,
    config_dir: configuration,
    db_dir: inFolder('db'),
    db_home_dir: inFolder('db'),
    db_lib: 'bdb',
    ldapi_enabled: 'off',
    ldapi: inFolder('run/ldapi'),
    ldapi_autobind: 'off',
  };
  const secure = ldapsPort === 0 ? '' : `nsslapd-security: on\nnsslapd-secureport: ${ldapsPort}\n`;
  const entries = template
    .replaceAll(/%(\w+)%/g, (placeholder, name: string) => values[name] ?? placeholder)
    .replaceAll(/^nsslapd-pluginpath: lib/gim, `nsslapd-pluginpath: ${plugins}/lib`)
    .replace(
      /^nsslapd-port:/m,
      `nsslapd-listenhost: 127.0.0.1
nsslapd-securelistenhost: 127.0.0.1
nsslapd-accesslog-logging-enabled: off
nsslapd-sizelimit: ${SIZE_LIMIT}
nsslapd-return-original-entrydn: off
nsslapd-enable-upgrade-hash: off
${secure}nsslapd-port:`,
    );
  // The parser takes two blank lines in a row for the end of the file.
  await writeFile(
    join(configuration, 'dse.ldif'),
    `${entries.trim()}\n\n${toLdif(ownEntries(plugins, inFolder('db/userRoot')))}\n`,
  );
}

function ownEntries(plugins: string, database: string): FixtureEntry[] {
  const backend = 'cn=userRoot,cn=ldbm database,cn=plugins,cn=config';
  // The server would add the two plugins itself, with the folder of an installed package.
  const plugin = (name: string, library: string, type: string): FixtureEntry => ({
    dn: `cn=${name},cn=plugins,cn=config`,
    attributes: {
      objectClass: ['top', 'nsSlapdPlugin'],
      cn: [name],
      'nsslapd-pluginPath': [`${plugins}/${library}`],
      'nsslapd-pluginInitfunc': [`${name}_plugin_init`],
      'nsslapd-pluginType': [type],
      'nsslapd-pluginEnabled': ['on'],
      'nsslapd-pluginId': [name],
      'nsslapd-pluginVersion': ['none'],
      'nsslapd-pluginVendor': ['389 Project'],
      'nsslapd-pluginDescription': [name],
    },
  });
  return [
    plugin('entryuuid', 'libentryuuid-plugin', 'betxnpreoperation'),
    plugin('entryuuid_syntax', 'libentryuuid-syntax-plugin', 'syntax'),
    {
      dn: 'cn=config,cn=ldbm database,cn=plugins,cn=config',
      attributes: {
        objectClass: ['top', 'extensibleObject'],
        cn: ['config'],
        // Otherwise the cache takes a share of the machine's memory.
        'nsslapd-cache-autosize': ['0'],
        'nsslapd-dbcachesize': ['33554432'],
      },
    },
    {
      dn: backend,
      attributes: {
        objectClass: ['top', 'extensibleObject', 'nsBackendInstance'],
        cn: ['userRoot'],
        'nsslapd-suffix': [BASE_DN],
        'nsslapd-directory': [database],
        'nsslapd-cachememsize': ['67108864'],
        'nsslapd-dncachememsize': ['16777216'],
      },
    },
    {
      dn: `cn="${BASE_DN}",cn=mapping tree,cn=config`,
      attributes: {
        objectClass: ['top', 'extensibleObject', 'nsMappingTree'],
        cn: [BASE_DN],
        'nsslapd-state': ['backend'],
        'nsslapd-backend': ['userRoot'],
      },
    },
  ];
}

/** Puts the certificate into the NSS database in the configuration folder, where the server looks for it. */
async function importCertificate(
  { root, environment }: Installation,
  configuration: string,
  certificates: Certificates,
): Promise<void> {
  const database = ['-d', `sql:${configuration}`];
  const file = (name: string): string => join(dirname(configuration), 'tmp', name);
  await writeFile(file('ca.pem'), certificates.caPem);
  await writeFile(file('server.p12'), makeKeyStore(certificates, 'Server-Cert', 'secret'));
  const env = { env: environment };
  await run(join(root, 'usr/bin/certutil'), ['-N', '--empty-password', ...database], env);
  await run(
    join(root, 'usr/bin/certutil'),
    ['-A', '-n', 'authority', '-t', 'CT,,', '-a', '-i', file('ca.pem'), ...database],
    env,
  );
  await run(join(root, 'usr/bin/pk12util'), ['-i', file('server.p12'), '-W', 'secret', '-K', '', ...database], env);
}
