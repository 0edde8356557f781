/**
 * ApacheDS for tests, from the jars of Debian's packages. It can be loaded only through LDAP, which is slow, so the
 * loaded folder is kept.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Attribute, Change } from 'ldapts';
import { makeCertificates, makeKeyStore } from '../../local/certificate.ts';
import { unpackPackages } from '../../local/debian-package.ts';
import { findJava } from '../../local/java.ts';
import { startServer } from '../../local/server-process.ts';
import {
  asRoot,
  BASE_DN,
  type DirectoryServer,
  type DirectoryServerOptions,
  dnOf,
  type FixtureEntry,
  HIDDEN,
  makeServerFolder,
  READER,
  SIZE_LIMIT,
  standardEntries,
  USUAL,
} from './directory-server.ts';
import { copyPrepared } from './prepared-folder.ts';

const ROOT_DN = 'uid=admin,ou=system';
const ROOT_PASSWORD = 'secret';
const KEY_STORE_PASSWORD = 'changeit';
const START_MS = 60_000;
const STOP_MS = 30_000;

// From libapache-directory-api-java on: packages that apacheds uses without depending on them.
const PACKAGES = {
  name: 'apacheds',
  wanted: `apacheds libapacheds-java libapacheds-i18n-java libapacheds-kerberos-codec-java libantlr-java
    libcommons-collections3-java libcommons-logging-java libehcache-java liblog4j1.2-java
    libapache-directory-api-java libapache-directory-jdbm-java libbcprov-java libcommons-io-java
    libcommons-lang-java libcommons-pool-java libdom4j-java libmavibot-java libmina2-java libslf4j-java
    libxpp3-java libcommons-codec-java libcommons-text-java libcommons-lang3-java libcaffeine-java
    libcommons-collections4-java`.split(/\s+/),
  needs: (): boolean => false,
};

/**
 * Starts ApacheDS.
 * @throws Error with one line that says what is missing and why
 */
export async function startApacheDs(options: DirectoryServerOptions): Promise<DirectoryServer> {
  const root = await unpackPackages(PACKAGES);
  const { certificates = makeCertificates({ names: ['127.0.0.1'] }) } = options;
  const keyStore = makeKeyStore(certificates, 'server', KEY_STORE_PASSWORD);
  const entries = [
    ...standardEntries([READER, ...options.people], { pwdAccountLockedTime: ['000001010000Z'] }),
    ...(options.entries ?? []),
  ];
  const folder = await makeServerFolder('apacheds');
  try {
    const madeOf = [root, await readFile(import.meta.filename, 'utf8'), JSON.stringify(entries)];
    await copyPrepared('apacheds', madeOf, (path) => load(root, path, keyStore, entries), folder.path);
    const server = await launch(root, folder.path, keyStore, 0);
    return {
      ...USUAL,
      product: 'apacheds',
      name: 'ApacheDS',
      ldapPort: server.ports[0],
      ldapsPort: server.ports[1],
      rootDn: ROOT_DN,
      rootPassword: ROOT_PASSWORD,
      caPem: certificates.caPem,
      idAttribute: 'entryUUID',
      async stop() {
        await server.stop();
        await folder.remove();
      },
    };
  } catch (error) {
    await folder.remove();
    throw error;
  }
}

async function launch(root: string, folder: string, keyStore: Buffer, stopMs: number) {
  const java = await findJava();
  const jars = join(root, 'usr/share/java');
  const more = [
    'commons-codec',
    'commons-text',
    'commons-lang3',
    'caffeine',
    'commons-collections4',
    'commons-logging',
  ];
  const classPath = [join(root, 'usr/share/apacheds/lib/*'), ...more.map((name) => join(jars, `${name}.jar`))];
  // It makes certificates with classes that Java has hidden since version 16.
  const hidden = ['sun.security.x509', 'sun.security.util', 'java.lang'].flatMap((name) =>
    ['--add-exports', '--add-opens'].flatMap((option) => [option, `java.base/${name}=ALL-UNNAMED`]),
  );
  const defaults = await readFile(join(root, 'etc/default/apacheds'), 'utf8');
  const listOf = (name: string): string =>
    new RegExp(`^${name}="([^"]*)"`, 'm').exec(defaults)![1]!.replaceAll(/\\\n/g, '');
  return startServer(async (ldapPort, ldapsPort) => {
    // The configuration left by an earlier start has other ports.
    await rm(join(folder, 'conf'), { recursive: true, force: true });
    for (const name of ['conf', 'log', 'cache', 'partitions', 'run']) {
      await mkdir(join(folder, name), { recursive: true });
    }
    await writeFile(join(folder, 'conf/server.p12'), keyStore);
    await writeFile(join(folder, 'conf/config.ldif'), await configuration(root, folder, ldapPort, ldapsPort));
    return {
      command: [
        java,
        ...hidden,
        '-Djava.awt.headless=true',
        '-Xmx768m',
        `-Dapacheds.controls=${listOf('ADS_CONTROLS')}`,
        `-Dapacheds.extendedOperations=${listOf('ADS_EXTENDED_OPERATIONS')}`,
        `-Dlog4j.configuration=file:${join(root, 'etc/apacheds/log4j.properties')}`,
        `-Dapacheds.log.dir=${join(folder, 'log')}`,
        '-cp',
        classPath.join(':'),
        'org.apache.directory.server.UberjarMain',
        `${folder}/`,
      ],
      folder,
      startMs: START_MS,
      stopMs,
    };
  });
}

/**
 * The shipped configuration, which already contains the base, changed to listen on 127.0.0.1 only and to control
 * access.
 */
async function configuration(root: string, folder: string, ldapPort: number, ldapsPort: number): Promise<string> {
  const shipped = await readFile(join(root, 'etc/apacheds/config.ldif'), 'utf8');
  return shipped
    .replace(/^ads-systemport: 10389$/m, `ads-systemport: ${ldapPort}`)
    .replace(/^ads-systemport: 10636$/m, `ads-systemport: ${ldapsPort}`)
    .replaceAll('0.0.0.0', '127.0.0.1')
    .replaceAll(/^ads-partitionsynconwrite: TRUE$/gim, 'ads-partitionsynconwrite: FALSE')
    .replace(/^ads-dsaccesscontrolenabled: FALSE$/im, 'ads-dsaccesscontrolenabled: TRUE')
    .replace(
      /^ads-maxSizeLimit: .*$/m,
      `ads-maxSizeLimit: ${SIZE_LIMIT}
ads-keystoreFile: ${join(folder, 'conf/server.p12')}
ads-certificatePassword: ${KEY_STORE_PASSWORD}`,
    );
}

/** Access rights in the form of X.501: subentries of the base. */
function accessEntries(hidden: boolean): FixtureEntry[] {
  const everybody = subentry('readers', '{}', aci('grant', 'allUsers', 10));
  const unlessReader = subentry('hidden', `{ base "${HIDDEN}" }`, aci('deny', `name { "${dnOf(READER)}" }`, 20));
  return hidden ? [everybody, unlessReader] : [everybody];
}

function aci(effect: 'grant' | 'deny', users: string, precedence: number): string {
  const rights = ['Read', 'ReturnDN', 'Browse', 'Compare', 'FilterMatch', 'DiscloseOnError'];
  const operational = 'entryUUID, modifyTimestamp, createTimestamp';
  const items =
    `entry, allUserAttributeTypesAndValues, attributeType { ${operational} }, ` +
    `allAttributeValues { ${operational} }`;
  const effects = rights.map((right) => effect + right).join();
  const permission = `protectedItems { ${items} }, grantsAndDenials { ${effects} }`;
  return (
    `{ identificationTag "${effect}", precedence ${precedence}, authenticationLevel none, ` +
    `itemOrUserFirst userFirst: { userClasses { ${users} }, userPermissions { { ${permission} } } } }`
  );
}

function subentry(cn: string, subtree: string, prescriptiveACI: string): FixtureEntry {
  return {
    dn: `cn=${cn},${BASE_DN}`,
    attributes: {
      objectClass: ['top', 'subentry', 'accessControlSubentry'],
      cn: [cn],
      subtreeSpecification: [subtree],
      prescriptiveACI: [prescriptiveACI],
    },
  };
}

async function load(root: string, folder: string, keyStore: Buffer, entries: readonly FixtureEntry[]): Promise<void> {
  const server = await launch(root, folder, keyStore, STOP_MS);
  try {
    const access = { ldapPort: server.ports[0], rootDn: ROOT_DN, rootPassword: ROOT_PASSWORD };
    const hidden = entries.some(({ dn }) => dn === `${HIDDEN},${BASE_DN}`);
    await asRoot(access, async (client) => {
      const role = new Attribute({ type: 'administrativeRole', values: ['accessControlSpecificArea'] });
      await client.modify(BASE_DN, new Change({ operation: 'add', modification: role }));
      for (const { dn, attributes } of [...entries.filter(({ dn }) => dn !== BASE_DN), ...accessEntries(hidden)]) {
        const list = Object.entries(attributes).map(
          ([type, values]) => new Attribute({ type, values: values as string[] | Buffer[] }),
        );
        await client.add(dn, list);
      }
    });
  } finally {
    await server.stop();
  }
}
