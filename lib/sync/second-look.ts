/**
 * The second look: before a user is removed for being absent, every server that may know better is asked where the
 * person is. Joins the answers of all servers; decides about no user.
 */
import type { Directory, DirectoryReader, OtherView, Whereabouts } from '../directory/directory.ts';
import { ServiceError } from '../errors.ts';
import type { User } from '../user/user.ts';
import { batchesOf } from './batch.ts';
import type { Report } from './report.ts';
import type { RunMemory } from './run-journal.ts';

/** Where a person is, by all servers together. */
export type Sighting =
  /** On no server at all. */
  | { readonly kind: 'gone' }
  /** Outside the scope, on every server that has the entry. */
  | { readonly kind: 'outOfScope' }
  /** In scope, on the server that was read: the person is not missing. */
  | { readonly kind: 'inScope' }
  /** A server contradicts, or can't be asked. An approval overrides it. `found`: another server has the entry. */
  | { readonly kind: 'doubted'; readonly reason: string; readonly found: boolean }
  /** The server that was read gave no answer. */
  | { readonly kind: 'unknown'; readonly reason: string };

/** The second look of one run. */
export interface SecondLook {
  /**
   * Where these people are, by account id; nobody is looked for twice. Their links must be comparable with the reader's
   * unique ids.
   */
  find(users: readonly User[]): Promise<ReadonlyMap<string, Sighting>>;
  /** How often in a row each name could not be asked, this run included; as before if nobody was looked for. */
  unreachable(): RunMemory['unreachable'];
  close(): Promise<void>;
}

/** Runs in a row after which a notice says what to do about a server that never answers. */
const PATIENCE_RUNS = 3;

type Answers = ReadonlyMap<string, Whereabouts> | ServiceError;

/**
 * Prepares a second look. Opens other servers only when somebody is looked for.
 * @param former the memory of the runs before
 */
export function prepareSecondLook(
  directory: Pick<Directory, 'openOtherViews'>,
  reader: DirectoryReader,
  former: RunMemory['unreachable'],
  report: Pick<Report, 'check' | 'notice' | 'incomplete'>,
): SecondLook {
  let views: readonly OtherView[] | null = null;
  let unreachable = former;
  const sightings = new Map<string, Sighting>();
  /** Readers that failed; they are not asked again. */
  const failed = new Map<DirectoryReader, ServiceError>();

  async function openViews(): Promise<readonly OtherView[]> {
    if (views !== null) return views;
    views = await directory.openOtherViews(reader);
    unreachable = {};
    for (const view of views) if (view.kind === 'unreachable') countUnreachable(view.server, view.reason);
    return views;
  }

  function countUnreachable(server: string, reason: string): void {
    const runs = (former[server] ?? 0) + 1;
    unreachable = { ...unreachable, [server]: runs };
    report.notice(
      `${server} could not be asked about missing users, so nobody is removed for being absent without an ` +
        `approval: ${reason}. ` +
        (runs >= PATIENCE_RUNS
          ? `It could not be asked in ${runs} runs in a row: remove it from the servers, or approve the removals.`
          : 'The next run asks again.'),
    );
  }

  async function ask(of: DirectoryReader, ids: readonly string[]): Promise<Answers> {
    const before = failed.get(of);
    if (before !== undefined) return before;
    try {
      return await of.locate(ids);
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      failed.set(of, error);
      if (of === reader) report.incomplete(`the second look at missing users failed: ${error.message}`);
      // Another address of the name that was read is asked only if it answers, so its failure is no news.
      else if (of.server !== reader.server) countUnreachable(of.server, error.message);
      return error;
    }
  }

  return {
    async find(users) {
      for (const batch of batchesOf(users.filter(({ id }) => !sightings.has(id)))) {
        const all = await openViews();
        const ids = batch.map(({ directory: link }) => link!.id);
        const own = await ask(reader, ids);
        const others = await Promise.all(
          all.map(async (view) => ({ view, answers: view.kind === 'open' ? await ask(view.reader, ids) : null })),
        );
        for (const user of batch) {
          const { id } = user.directory!;
          const opinions = others.map(({ view, answers }): Opinion => {
            if (view.kind === 'unreachable') {
              return { server: view.server, place: null, reason: `${view.server} could not be asked` };
            }
            const { server } = view.reader;
            if (answers instanceof ServiceError) {
              return { server, place: null, reason: `${server} could not be asked: ${answers.message}` };
            }
            return { server, place: answers!.get(id) ?? null, reason: `${server} gave no answer` };
          });
          sightings.set(user.id, own instanceof ServiceError ? unknown(own) : join(own.get(id), opinions));
        }
        report.check();
      }
      return new Map(users.map(({ id }) => [id, sightings.get(id)!]));
    },
    unreachable: () => unreachable,
    async close() {
      const open = (views ?? []).filter((view) => view.kind === 'open');
      await Promise.all(open.map((view) => view.reader.close()));
    },
  };
}

/** What one other server says about one person. */
export interface Opinion {
  readonly server: string;
  /** null if the server gave no answer, for the reason below. */
  readonly place: Whereabouts | null;
  readonly reason: string;
}

function unknown({ message }: ServiceError): Sighting {
  return { kind: 'unknown', reason: `the second look failed, so the entry may still exist: ${message}` };
}

/**
 * Joins what the server that was read and the other servers say about one person.
 * @param own the answer of the server that was read; undefined if it gave none
 */
export function join(own: Whereabouts | undefined, others: readonly Opinion[]): Sighting {
  if (own === undefined) return { kind: 'unknown', reason: 'the second look failed, so the entry may still exist' };
  if (own.kind === 'present' && own.inScope) return { kind: 'inScope' };
  const doubt = (reason: string, found = false): Sighting => ({ kind: 'doubted', reason, found });
  for (const { server, place } of others) {
    if (place?.kind !== 'present') continue;
    if (place.inScope) return doubt(`${server} still has the entry in scope, as ${place.dn}`, true);
    if (own.kind !== 'present') return doubt(`${server} still has the entry, as ${place.dn}`, true);
  }
  if (own.kind === 'unproven') return doubt(own.reason);
  for (const { place, reason } of others) {
    if (place === null) return doubt(reason, own.kind === 'present');
    if (place.kind === 'unproven' && own.kind === 'gone') return doubt(place.reason);
  }
  return { kind: own.kind === 'gone' ? 'gone' : 'outOfScope' };
}
