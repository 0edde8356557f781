/**
 * Samba as an Active Directory domain controller for tests, with its LDAP service only. Its ports are fixed in the code
 * and its packages must be installed, so it runs in a box: in its own namespaces, where the unpacked packages are
 * mounted over /usr and all ports are free. This needs root, or a kernel that allows unprivileged user namespaces.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeCertificates } from '../../local/certificate.ts';
import { unpackPackages } from '../../local/debian-package.ts';
import {
  type DirectoryServer,
  type DirectoryServerOptions,
  dnOf,
  HIDDEN,
  makeServerFolder,
  type PersonFixture,
  plainAttributes,
  READER,
  toLdif,
  unitsOf,
} from './directory-server.ts';
import { copyPrepared } from './prepared-folder.ts';

const run = promisify(execFile);

const BASE_DN = 'DC=example,DC=com';
const ROOT_PASSWORD = 'Administrator Pass 1';
const START_MS = 30_000;

// They are mounted over /usr together with all their dependencies, except those that are installed.
const PACKAGES = {
  name: 'samba',
  wanted: [
    'samba',
    'samba-ad-dc',
    'samba-ad-provision',
    'samba-dsdb-modules',
    'python3-samba',
    'ldb-tools',
    'iproute2',
  ],
  needs: (): boolean => true,
};

const LIBRARIES = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/samba`;

// Enters new namespaces, mounts the packages over /usr, then runs the command that follows the folder of the packages.
const ENTER = 'mount -t overlay overlay -o "lowerdir=$1/usr:/usr" /usr && ip link set lo up && shift && exec "$@"';
const AS_USER = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
const BOX = ['--mount', '--net', ...AS_USER, 'sh', '-c', ENTER, 'sh'];

/**
 * Starts Samba.
 * @throws Error with one line that says what is missing and why
 */
export async function startSamba(options: DirectoryServerOptions): Promise<DirectoryServer> {
  const root = await unpackPackages(PACKAGES);
  await run('unshare', [...BOX, root, 'true']).catch((error: unknown) => {
    const words = ((error as { stderr?: string }).stderr || (error as Error).message).trim();
    throw new Error(`Samba needs root, or a kernel that allows unprivileged user namespaces: ${words}`, {
      cause: error,
    });
  });
  const { people, certificates = makeCertificates({ names: ['127.0.0.1'] }) } = options;
  const folder = await makeServerFolder('samba');
  try {
    const source = await readFile(import.meta.filename, 'utf8');
    const ldif = activeDirectoryLdif([READER, ...people]);
    await copyPrepared(
      'samba',
      [root, source, ldif, JSON.stringify(people.map(({ attributes }) => attributes?.['pwdLastSet']))],
      async (path) => {
        await copyPrepared('samba-domain', [root, source], (domain) => provision(root, domain), path);
        await load(root, path, people, ldif);
      },
      folder.path,
    );
    await writeConfiguration(folder.path);
    await writeFile(join(folder.path, 'tls/ca.pem'), certificates.caPem);
    await writeFile(join(folder.path, 'tls/server.pem'), certificates.certificatePem);
    await writeFile(join(folder.path, 'tls/server.key'), certificates.keyPem, { mode: 0o600 });
    const box = await startBox(root, folder.path);
    return {
      product: 'samba',
      name: 'Samba Active Directory',
      ldapPort: box.ports[0]!,
      ldapsPort: box.ports[1]!,
      baseDn: BASE_DN,
      readerDn: dnOf(READER, BASE_DN),
      readerPassword: READER.password!,
      rootDn: `CN=Administrator,CN=Users,${BASE_DN}`,
      rootPassword: ROOT_PASSWORD,
      caPem: certificates.caPem,
      userNameAttribute: 'sAMAccountName',
      peopleFilter: '(&(objectCategory=person)(objectClass=user))',
      idAttribute: 'objectGUID',
      async stop() {
        await box.stop();
        await folder.remove();
      },
    };
  } catch (error) {
    await folder.remove();
    throw error;
  }
}

// Setting access rights on the file shares needs real root and POSIX ACLs. No test reads the shares, so skip that step.
const PROVISION = `
import sys, runpy, samba.provision
samba.provision.setsysvolacl = lambda *a, **k: None
sys.argv[0] = 'samba-tool'
runpy.run_path('/usr/bin/samba-tool', run_name='__main__')
`;

async function provision(root: string, folder: string): Promise<void> {
  const options = {
    realm: 'EXAMPLE.COM',
    domain: 'EXAMPLE',
    'server-role': 'dc',
    'dns-backend': 'NONE',
    adminpass: ROOT_PASSWORD,
    targetdir: folder,
    'host-name': 'dc1',
    'host-ip': '127.0.0.2',
  };
  const list = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
  const interfaces = ['--option=interfaces=127.0.0.2/8', '--option=bind interfaces only=yes'];
  const command = ['/usr/bin/python3', '-c', PROVISION, 'domain', 'provision', '--use-rfc2307', '--plaintext-secrets'];
  await inBox(root, [...command, ...list, ...interfaces]);
  for (const name of ['log', 'tls', 'run']) await mkdir(join(folder, name), { recursive: true });
}

// Denies one account access to one unit and everything below it: list, read properties, list object (MS-DTYP section
// 2.5.1).
const HIDE = `
import sys
from samba.auth import system_session
from samba.dcerpc import security
from samba.ndr import ndr_unpack
from samba.param import LoadParm
from samba.samdb import SamDB
from samba.sd_utils import SDUtils
configuration, database, reader, hidden = sys.argv[1:]
lp = LoadParm()
lp.load(configuration)
db = SamDB(url=database, lp=lp, session_info=system_session())
sid = ndr_unpack(security.dom_sid, db.search(reader, scope=0, attrs=['objectSid'])[0]['objectSid'][0])
SDUtils(db).dacl_add_ace(hidden, '(D;CI;LCRPLO;;;%s)' % sid)
`;

async function load(root: string, folder: string, people: readonly PersonFixture[], ldif: string): Promise<void> {
  await writeConfiguration(folder);
  const configuration = join(folder, 'etc/smb.conf');
  const database = join(folder, 'private/sam.ldb');
  const file = join(folder, 'people.ldif');
  await writeFile(file, ldif);
  await inBox(root, ['ldbadd', '--nosync', `--configfile=${configuration}`, '-H', database, file]);
  // A domain controller does not let LDAP clients set this time.
  const dated = people.filter(({ attributes }) => attributes?.['pwdLastSet'] !== undefined);
  for (const person of dated) {
    const time = String(person.attributes!['pwdLastSet']![0]);
    const change = `changetype: modify\nreplace: pwdLastSet\npwdLastSet: ${time}`;
    await writeFile(file, `dn: ${dnOf(person, BASE_DN)}\n${change}\n`);
    // The control that Samba itself uses (DSDB_CONTROL_BYPASS_PASSWORD_HASH_OID).
    const bypass = '--controls=local_oid:1.3.6.1.4.1.7165.4.3.12:0';
    await inBox(root, ['ldbmodify', bypass, `--configfile=${configuration}`, '-H', database, file]);
  }
  await rm(file);
  if (!unitsOf(people).includes(HIDDEN)) return;
  const names = [dnOf(READER, BASE_DN), `${HIDDEN},${BASE_DN}`];
  await inBox(root, ['/usr/bin/python3', '-c', HIDE, configuration, database, ...names]);
}

/** userAccountControl (MS-ADTS section 2.2.16): a normal account, perhaps disabled, perhaps without a password. */
function accountControl({ password, disabled }: PersonFixture): number {
  return 0x200 + (disabled === true ? 0x2 : 0) + (password === undefined ? 0x20 : 0);
}

/** People need the class user, and a password must be in quotes and UTF-16 (MS-ADTS section 3.1.1.3.1.5). */
function activeDirectoryLdif(people: readonly PersonFixture[]): string {
  return toLdif([
    ...unitsOf(people).map((unit) => ({
      dn: `${unit},${BASE_DN}`,
      attributes: { objectClass: ['organizationalUnit'] },
    })),
    ...people.map((person) => {
      const { pwdLastSet: _setLater, ...plain } = plainAttributes(person);
      return {
        dn: dnOf(person, BASE_DN),
        attributes: {
          objectClass: ['user'],
          sAMAccountName: [person.userName],
          userPrincipalName: [`${person.userName}@example.com`],
          userAccountControl: [`${accountControl(person)}`],
          ...plain,
          ...(person.password === undefined ? {} : { unicodePwd: [Buffer.from(`"${person.password}"`, 'utf16le')] }),
        },
      };
    }),
  ]);
}

async function writeConfiguration(folder: string): Promise<void> {
  const settings = {
    realm: 'EXAMPLE.COM',
    workgroup: 'EXAMPLE',
    'netbios name': 'DC1',
    'server role': 'active directory domain controller',
    'server services': 'ldap',
    'dcerpc endpoint servers': '',
    interfaces: '127.0.0.2/8',
    'bind interfaces only': 'yes',
    'private dir': `${folder}/private`,
    'state directory': `${folder}/state`,
    'cache directory': `${folder}/cache`,
    'lock directory': folder,
    'pid directory': `${folder}/run`,
    'ncalrpc dir': `${folder}/run/ncalrpc`,
    'ntp signd socket directory': `${folder}/run/ntp_signd`,
    'winbindd socket directory': `${folder}/run/winbindd`,
    'binddns dir': `${folder}/bind-dns`,
    'usershare path': '',
    'log file': `${folder}/log/log.%m`,
    'idmap_ldb:use rfc2307': 'yes',
    // Otherwise Samba refuses simple binds without TLS.
    'ldap server require strong auth': 'no',
    'tls enabled': 'yes',
    'tls certfile': `${folder}/tls/server.pem`,
    'tls keyfile': `${folder}/tls/server.key`,
    'tls cafile': `${folder}/tls/ca.pem`,
  };
  const lines = Object.entries(settings).map(([name, value]) => `  ${name} = ${value}`);
  await writeFile(join(folder, 'etc/smb.conf'), `[global]\n${lines.join('\n')}\n`);
}

async function inBox(root: string, command: readonly string[]): Promise<void> {
  const options = { env: { ...process.env, LD_LIBRARY_PATH: LIBRARIES }, maxBuffer: 64 * 1024 * 1024 };
  await run('unshare', [...BOX, root, ...command], options).catch((error: unknown) => {
    const words = (error as { stderr: string }).stderr.trim().split('\n').slice(-3).join('; ');
    throw new Error(`preparing Samba failed: ${words}`, { cause: error });
  });
}

async function startBox(root: string, folder: string): Promise<{ ports: number[]; stop: () => Promise<void> }> {
  const listeners: Server[] = [];
  const ports: number[] = [];
  for (const target of [389, 636]) {
    const listener = createServer();
    await once(listener.listen(0, '127.0.0.1'), 'listening');
    listeners.push(listener);
    ports[target === 389 ? 0 : 1] = (listener.address() as AddressInfo).port;
  }
  const log = await open(join(folder, 'server.log'), 'w');
  const samba = ['samba', '-i', '-M', 'single', '--debug-stdout', '-s', join(folder, 'etc/smb.conf')];
  const program = [process.execPath, join(import.meta.dirname, 'samba-box.ts'), ...samba];
  // In a process namespace too, so that the kernel ends all processes when the first one ends.
  const box = spawn('unshare', ['--pid', '--fork', '--kill-child', ...BOX, root, ...program], {
    cwd: folder,
    env: { ...process.env, BOX_LIBRARIES: LIBRARIES, NODE_OPTIONS: '' },
    stdio: ['ignore', log.fd, log.fd, 'ipc'],
  });
  await log.close();
  const exited = once(box, 'exit');

  async function stop(): Promise<void> {
    if (box.exitCode !== null || box.signalCode !== null) return;
    box.kill('SIGKILL');
    await exited;
  }

  const ready = once(box, 'message', { signal: AbortSignal.timeout(START_MS) }).then(
    () => true,
    () => false,
  );
  if (!(await Promise.race([ready, exited.then(() => false)]))) {
    await stop();
    const words = await readFile(join(folder, 'server.log'), 'utf8');
    throw new Error(`Samba did not start: ${words.trim().split('\n').slice(-3).join('; ')}`);
  }
  for (const [index, listener] of listeners.entries()) {
    await new Promise<void>((resolve, reject) => {
      box.send([389, 636][index]!, listener, (error) => (error ? reject(error) : resolve()));
    });
    listener.close();
  }
  return { ports, stop };
}
