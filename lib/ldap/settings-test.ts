/**
 * The settings test: goes through the stages from name resolution to the filter, as an administrator would by hand, and
 * reports what each found and how long it took. Stops at the first stage that fails. Changes nothing and keeps no
 * connection.
 */
import type {
  DirectoryTest,
  PresentedCertificate,
  TestedServer,
  TestExtent,
  TestStage,
} from '../directory/directory-test.ts';
import type { ReadProof } from '../directory/directory.ts';
import type { Entry } from '../directory/entry.ts';
import { ServiceError } from '../errors.ts';
import { attributeKey } from '../settings/attribute-name.ts';
import { FEW_DAYS } from '../settings/ca-certificates.ts';
import type { Filter } from '../settings/filter.ts';
import type { ServerAddress } from '../settings/server-address.ts';
import { type Settings, withPresets } from '../settings/settings.ts';
import { bindAdministrator } from './bind.ts';
import {
  type Connection,
  connectServer,
  openConnection,
  type PeerCertificate,
  resolveServer,
  secureConnection,
} from './connection.ts';
import { makeEntryReading } from './entry.ts';
import { isServerFault } from './fault.ts';
import { proveSight } from './person-search.ts';
import { readScope } from './reading/paged.ts';
import { announcesPolicy, chooseContext, identifyServer, readRootDse, type RootDse } from './root-dse.ts';
import { readSchema } from './schema.ts';
import { chooseScope, EVERYBODY, findIdSource, probe, type Scope } from './scope.ts';
import { serverAddress } from './server-ranking.ts';
import { VENDOR_FACTS } from './vendor.ts';

/** The most people that are counted. */
const COUNT_CAP = 1000;
const SAMPLE_SIZE = 5;
const DAY_MS = 86_400_000;

type People = Pick<DirectoryTest, 'count' | 'counted' | 'sample'>;

/** What a test has counted that did not search. */
const NOBODY: People = { count: null, counted: 'none', sample: [] };

/** The part of the limit that is reserved for closing the connection and returning the result. */
const RESERVE_MS = 100;

/**
 * Tests the settings. Ends within `limitMs`, whatever the servers do; a fault of a server is a failed stage.
 * @param password of the bind DN
 */
export async function checkDirectory(
  settings: Settings,
  password: string,
  now: () => Date,
  limitMs: number,
  extent: TestExtent,
): Promise<DirectoryTest> {
  const endsAt = performance.now() + limitMs - RESERVE_MS;
  const { timeouts, administrativeDn, encryption, servers } = settings.connection;
  const warnings: string[] = [];
  let stages: TestStage[] = [];
  let certificates: readonly PresentedCertificate[] = [];
  let server: TestedServer | null = null;
  let presets: DirectoryTest['presets'] = null;
  let connection: Connection | null = null;

  const leftMs = (serversLeft = 1): number => (endsAt - performance.now()) / serversLeft;
  const operationMs = (): number => Math.min(timeouts.operationSeconds * 1000, leftMs());

  /** Runs one stage and records it. `tell` words what it found; `passes` decides whether that is good enough. */
  async function stage<T>(
    name: TestStage['name'],
    work: () => Promise<T>,
    tell: (found: T) => string,
    passes: (found: T) => boolean = () => true,
  ): Promise<T> {
    const started = performance.now();
    const ms = (): number => Math.round(performance.now() - started);
    try {
      const found = await work();
      stages.push({ name, ok: passes(found), detail: tell(found), ms: ms() });
      return found;
    } catch (error) {
      if (error instanceof ServiceError) {
        const detail = error.advice === undefined ? error.message : `${error.message}. ${error.advice}`;
        stages.push({ name, ok: false, code: error.code, detail, ms: ms() });
      }
      throw error;
    }
  }

  async function connect(address: ServerAddress, serversLeft: number, skipped: string): Promise<Connection> {
    const connectMs = (): number => Math.min(timeouts.connectSeconds * 1000, leftMs(serversLeft));
    const addresses = await stage(
      'nameResolution',
      () => resolveServer(address, connectMs()),
      (found) => `${skipped}${address.host} resolves to ${found.map((one) => one.address).join(', ')}`,
    );
    const socket = await stage(
      'connect',
      () => connectServer(address, addresses, connectMs()),
      (found) => `connected to ${found.remoteAddress ?? address.host}, port ${address.port}`,
    );
    return stage(
      'tls',
      async () => {
        try {
          const secured = await secureConnection(address, socket, settings.connection, connectMs());
          certificates = presentChain(secured.certificate, now());
          return secured;
        } catch (error) {
          if (!(error instanceof ServiceError) || error.code !== 'certificateRefused') throw error;
          certificates = presentChain(await lookAtCertificate(address, connectMs()), now());
          throw withPresented(error, certificates);
        }
      },
      (found) => describeEncryption(found.certificate, certificates, encryption),
    );
  }

  /** The certificate that was refused, from a second handshake with nothing after it. null if that fails too. */
  async function lookAtCertificate(address: ServerAddress, withinMs: number): Promise<PeerCertificate | null> {
    try {
      const look = await openConnection(address, { ...settings.connection, ignoreCertificateWarnings: true }, withinMs);
      look.destroy();
      return look.certificate;
    } catch {
      // The refusal itself is reported in any case.
      return null;
    }
  }

  async function connectFirst(): Promise<Connection> {
    let skipped = '';
    for (const [index, name] of servers.entries()) {
      const serversLeft = servers.length - index;
      try {
        return await connect(serverAddress(name, encryption), serversLeft, skipped);
      } catch (error) {
        if (serversLeft === 1 || !isServerFault(error)) throw error;
        // The stages start again with the next server. The first one says why the server before was skipped.
        skipped += `${error.message}; next server: `;
        stages = [];
        certificates = [];
      }
    }
    throw new ServiceError('hostNotFound', 'the settings contain no server');
  }

  async function run(): Promise<People> {
    const open = (connection = await connectFirst());
    for (const { subject, daysLeft } of certificates.filter((one) => one.daysLeft < FEW_DAYS)) {
      warnings.push(
        `The certificate of ${subject} ${daysLeft < 0 ? 'has expired' : `expires in ${daysLeft} days`}. Renew it.`,
      );
    }
    if (extent === 'beforeBind') return NOBODY;
    await stage(
      'bind',
      async () => {
        const policy = await announcesPolicy(open, operationMs());
        await bindAdministrator(open, administrativeDn, password, policy ?? false, operationMs());
      },
      () => (administrativeDn === '' ? 'bound anonymously' : `bound as ${administrativeDn}`),
    );
    const rootDse = await stage(
      'rootDse',
      () => readRootDse(open, settings.connection.vendor, operationMs()),
      describeRootDse,
    );
    const { vendor, detectedVendor, product, paging, startTls, passwordPolicy } = rootDse;
    const facts = VENDOR_FACTS[vendor];
    const offers = { paging, startTls, passwordPolicy };
    const identity = identifyServer(open, rootDse);
    server = { ...identity, vendor, detectedVendor, product, offers, uniqueId: null, statusAttributes: [] };
    ({ presets } = facts);
    if (vendor !== detectedVendor && detectedVendor !== 'unknown') {
      warnings.push(
        `The vendor in the settings is ${vendor}, but the server looks like ${VENDOR_FACTS[detectedVendor].name}. ` +
          'Leave the vendor empty unless the detection is wrong.',
      );
    }

    const tried = withPresets(settings, presets);
    const scope = await stage(
      'base',
      async () => {
        const chosen = chooseScope(tried, rootDse, open.server);
        const entries = await probe(open, { ...chosen, filter: EVERYBODY }, ['objectClass'], operationMs());
        return { ...chosen, isEmpty: entries.length === 0 };
      },
      ({ baseDn, isEmpty }) =>
        `${baseDn || 'the root'} exists${isEmpty ? ', but the bind DN sees no entries there' : ''}`,
    );
    const { idSource, schema, status } = await stage(
      'attributes',
      async () => {
        const idSource = await findIdSource(open, scope, tried.mapping.uniqueId, rootDse, operationMs);
        if (idSource.knownId !== null) {
          const context = { baseDn: chooseContext(scope.baseDn, rootDse), depth: 'sub', filter: null } as const;
          await proveSight(open, context, idSource.attribute, idSource.knownId, operationMs());
        }
        const filter = statusFilter(scope, rootDse.certainStatus?.objectClass);
        const entries = await probe(open, { ...scope, filter }, facts.statusAttributes, operationMs());
        const schema = await readSchema(open, rootDse, operationMs());
        const isSeen = (name: string): boolean => {
          const names = schema.namesOf(name);
          return entries.some((attributes) => attributes.some(({ type }) => names.includes(attributeKey(type))));
        };
        const certain = rootDse.certainStatus?.attribute;
        if (certain !== undefined && entries.length > 0 && !isSeen(certain)) {
          warnings.push(
            `The bind DN does not see ${certain}, so disabled accounts look active. ` +
              'Give it the right to read that attribute.',
          );
        }
        return { idSource, schema, status: facts.statusAttributes.map((name) => ({ name, seen: isSeen(name) })) };
      },
      (found) => describeAttributes(found.idSource.attribute, found.idSource.knownId !== null, found.status),
      // Whoever is not seen is taken for absent, and nobody can log in.
      (found) => found.idSource.knownId !== null,
    );
    server = {
      ...server,
      uniqueId: idSource.knownId === null ? null : idSource.attribute,
      statusAttributes: status,
    };
    return stage(
      'filter',
      async () => {
        const reading = makeEntryReading(tried.mapping, idSource.attribute, rootDse, schema, now());
        return countPeople(readScope(open, scope, rootDse, reading, operationMs));
      },
      describeCount,
      ({ reasons }) => reasons.length === 0,
    );
  }

  let people = NOBODY;
  let finished = false;
  try {
    people = await run();
    finished = true;
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
  } finally {
    (connection as Connection | null)?.destroy();
  }
  const { count, counted, sample } = people;
  const ok = finished && stages.every((one) => one.ok);
  return { ok, stages, certificates, server, presets, warnings, count, counted, sample };
}

/** A missing status attribute means something only on entries that should have it, so look at those only. */
function statusFilter({ filter }: Scope, objectClass: string | undefined): Filter {
  if (objectClass === undefined) return filter;
  const withStatus: Filter = { kind: 'equal', attribute: 'objectClass', value: Buffer.from(objectClass) };
  return { kind: 'and', filters: [filter, withStatus] };
}

function presentChain(certificate: PeerCertificate | null, now: Date): readonly PresentedCertificate[] {
  return (certificate?.chain ?? []).map(({ subject, issuer, names, validTo }) => ({
    subject,
    issuer,
    names,
    validTo: validTo.toISOString(),
    daysLeft: Math.floor((validTo.getTime() - now.getTime()) / DAY_MS),
  }));
}

/** Adds the certificate that was refused to the fault. */
function withPresented(refusal: ServiceError, certificates: readonly PresentedCertificate[]): ServiceError {
  const { code, message, cause, advice } = refusal;
  const shown = certificates.length === 0 ? '' : `; the server sent ${describeChain(certificates)}`;
  return new ServiceError(code, `${message}${shown}`, { cause, ...(advice === undefined ? {} : { advice }) });
}

function describeEncryption(
  certificate: PeerCertificate | null,
  chain: readonly PresentedCertificate[],
  encryption: string,
): string {
  if (certificate === null) return 'not encrypted: passwords cross the network in clear text';
  const how = encryption === 'tls' ? 'StartTLS' : 'LDAPS';
  const trust =
    certificate.warning === null
      ? ''
      : `; NOT trusted, but the settings ignore certificate warnings: ${certificate.warning}`;
  return `${how} with ${describeChain(chain)}${trust}`;
}

/** The server's own certificate in full, then the issuers of the chain, with those that have expired. */
function describeChain([own, ...issuers]: readonly PresentedCertificate[]): string {
  if (own === undefined) return 'no certificate';
  const names = own.names.length === 0 ? '' : ` (names: ${own.names.join(', ')})`;
  const life = own.daysLeft < 0 ? expiredAgo(own) : `expires in ${own.daysLeft} days`;
  const signers = [own.issuer, ...issuers.map(({ issuer }) => issuer)].map((issuer) => {
    const expired = issuers.find(({ subject, daysLeft }) => subject === issuer && daysLeft < 0);
    return `issued by ${issuer}${expired === undefined ? '' : ` (${expiredAgo(expired)})`}`;
  });
  return `the certificate of ${own.subject}${names}, ${[...new Set(signers)].join(', ')}, ${life}`;
}

function expiredAgo({ daysLeft }: PresentedCertificate): string {
  return `expired ${-daysLeft} days ago`;
}

function describeRootDse(rootDse: RootDse): string {
  const { vendor, detectedVendor, product, idAttribute, namingContexts } = rootDse;
  const name = VENDOR_FACTS[vendor].name;
  const rules = vendor === detectedVendor && product.includes(name) ? '' : ` (treated as ${name})`;
  const offered = [
    rootDse.paging ? 'paged searches' : 'no paged searches',
    ...(rootDse.startTls ? ['StartTLS'] : []),
    ...(rootDse.passwordPolicy ? ['password policy control'] : []),
  ].join(', ');
  const id = idAttribute === null ? '' : `; unique id attribute: ${idAttribute}`;
  const contexts = namingContexts.join(' and ') || 'none shown';
  return `${product}${rules}; announces: ${offered}${id}; naming contexts: ${contexts}`;
}

function describeAttributes(id: string, isKnown: boolean, status: TestedServer['statusAttributes']): string {
  const seen = status.filter((one) => one.seen).map(({ name }) => name);
  const unseen = status.filter((one) => !one.seen).map(({ name }) => name);
  if (!isKnown) {
    return (
      `no entry in scope has a readable ${id}. ` +
      'Check base DN, depth and filter, and the right of the bind DN to read that attribute.'
    );
  }
  const notSeen =
    unseen.length === 0
      ? ''
      : `; not seen on the first entries: ${unseen.join(', ')} (normal while no account is disabled)`;
  return `readable: ${[`${id} (unique id)`, ...seen].join(', ')}${notSeen}`;
}

interface Count extends People {
  readonly reasons: readonly string[];
}

async function countPeople(people: AsyncGenerator<readonly Entry[], ReadProof, void>): Promise<Count> {
  const sample: Entry[] = [];
  let count = 0;
  while (count <= COUNT_CAP) {
    const step = await people.next();
    if (step.done)
      return { count, counted: step.value.complete ? 'all' : 'capped', sample, reasons: step.value.reasons };
    count += step.value.length;
    sample.push(...step.value.slice(0, SAMPLE_SIZE - sample.length));
  }
  return { count: COUNT_CAP, counted: 'capped', sample, reasons: [] };
}

function describeCount({ count, counted, reasons }: Count): string {
  if (reasons.length > 0) return `found ${count}, but the read is incomplete: ${reasons.join(' ')}`;
  if (count === 0) return 'found nobody: check base DN, depth and filter';
  return `found ${counted === 'capped' ? 'more than ' : ''}${count}`;
}
