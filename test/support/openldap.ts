/** OpenLDAP for the tests that run on every product. */
import { makeCertificates } from '../../local/certificate.ts';
import { startSlapd } from '../../local/slapd.ts';
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
} from './directory-server.ts';

/**
 * Starts OpenLDAP. It needs no prepared folder, because slapd loads people faster than a folder is copied. An entry
 * cn=policy below the base, if there is one, is the password policy for everybody.
 * @throws Error with one line that says what is missing and why
 */
export async function startOpenLdap(options: DirectoryServerOptions): Promise<DirectoryServer> {
  const folder = await makeServerFolder('openldap');
  const { certificates = makeCertificates({ names: ['127.0.0.1'] }) } = options;
  const readerDn = dnOf(READER);
  const slapd = await startSlapd({
    folder: folder.path,
    ldif: toLdif([
      ...standardEntries([READER, ...options.people], { pwdAccountLockedTime: ['000001010000Z'] }),
      ...(options.entries ?? []),
    ]),
    sizeLimit: SIZE_LIMIT,
    limits: [
      `dn.exact="${readerDn}" size.soft=${SIZE_LIMIT} size.hard=${SIZE_LIMIT} size.pr=1000 size.prtotal=unlimited`,
    ],
    access: [`to dn.subtree="${HIDDEN},${BASE_DN}" by dn.exact="${readerDn}" none by * break`],
    policyDn: `cn=policy,${BASE_DN}`,
    certificates,
  }).catch(async (error: unknown) => {
    await folder.remove();
    throw error;
  });
  return {
    ...USUAL,
    product: 'openldap',
    name: 'OpenLDAP',
    ldapPort: slapd.ldapPort,
    ldapsPort: slapd.ldapsPort,
    rootDn: slapd.rootDn,
    rootPassword: slapd.rootPassword,
    caPem: certificates.caPem,
    idAttribute: 'entryUUID',
    async stop() {
      await slapd.stop();
      await folder.remove();
    },
  };
}
