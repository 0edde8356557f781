/**
 * Decides whether policy documents permit a call, by IAM's rules: an explicit Deny wins, without an Allow the answer is
 * no. Covers what the stack's policies use and refuses to load anything else, so that nothing is decided by a rule that
 * is missing here. Knows neither services nor the template.
 *
 * The pages of https://docs.aws.amazon.com/IAM/latest/UserGuide/:
 * - Evaluation: reference_policies_evaluation-logic.html
 * - `*` and `?`: reference_policies_elements_resource.html. Actions compare without regard to case
 *   (reference_policies_elements_action.html), resources and conditions with it.
 * - Operators: reference_policies_elements_condition_operators.html
 * - Sets of values, and `ForAllValues` that holds when the request has none:
 *   reference_policies_condition-single-vs-multi-valued-context-keys.html
 */

/** The keys of a request that conditions test, by name. A key has several values only where AWS gives it several. */
export type RequestContext = Readonly<Record<string, readonly string[]>>;

/** One question to IAM: may this caller do this? */
export interface Call {
  /** Such as `dynamodb:PutItem`. */
  readonly action: string;
  /** The ARN of what the action works on. */
  readonly resource: string;
  readonly context: RequestContext;
}

/** Who asks a resource's own policy: a service, such as `scheduler.amazonaws.com`, or the ARN of a role. */
export type Principal = { readonly service: string } | { readonly arn: string };

/** A statement as the evaluation needs it. */
export interface Statement {
  readonly effect: 'Allow' | 'Deny';
  /** null in a policy of a role, which speaks of that role alone. `*` stands for everybody. */
  readonly principals: readonly string[] | null;
  readonly actions: readonly string[];
  /** `null` where the policy is that of the resource itself, as in a role's trust policy. */
  readonly resources: readonly string[] | null;
  readonly conditions: readonly Condition[];
}

/** One key of a Condition block. All conditions of a statement must hold; of `values`, one must match. */
export interface Condition {
  readonly operator: keyof typeof OPERATORS;
  readonly key: string;
  readonly values: readonly string[];
}

/** The result of an evaluation. `implicitDeny`: no statement speaks of the call. */
export type Decision = 'allow' | 'explicitDeny' | 'implicitDeny';

/** The keys that requests on this machine have, so the keys that a policy may test. */
export const KNOWN_KEYS = [
  'aws:SecureTransport',
  'aws:SourceAccount',
  'aws:SourceArn',
  'dynamodb:Attributes',
  'dynamodb:EnclosingOperation',
  'dynamodb:LeadingKeys',
  'dynamodb:ReturnValues',
  'dynamodb:Select',
  'iam:PassedToService',
] as const;

type Test = (present: readonly string[] | undefined, values: readonly string[]) => boolean;

const equal = (one: string, values: readonly string[]): boolean => values.includes(one);
const like = (one: string, values: readonly string[]): boolean => values.some((value) => matches(value, one));
// An absent key makes a condition false, except under ForAllValues.
const single =
  (compare: typeof equal): Test =>
  (present, values) =>
    present?.length === 1 && compare(present[0]!, values);
// "If it exists": an absent key is no obstacle.
const optional =
  (compare: typeof equal): Test =>
  (present, values) =>
    present === undefined || single(compare)(present, values);
const all =
  (compare: typeof equal): Test =>
  (present = [], values) =>
    present.every((one) => compare(one, values));
const any =
  (compare: typeof equal): Test =>
  (present = [], values) =>
    present.some((one) => compare(one, values));

const OPERATORS = {
  StringEquals: single(equal),
  StringEqualsIfExists: optional(equal),
  StringLike: single(like),
  ArnLike: single(like),
  Bool: single((one, values) => equal(one.toLowerCase(), values)),
  'ForAllValues:StringEquals': all(equal),
  'ForAllValues:StringLike': all(like),
  'ForAnyValue:StringEquals': any(equal),
} as const satisfies Record<string, Test>;

const ELEMENTS = new Set(['Sid', 'Effect', 'Principal', 'Action', 'Resource', 'Condition']);

/**
 * The statements of a policy document, references resolved.
 * @throws Error that names an element, operator or condition key that the evaluation does not know
 */
export function readStatements(document: unknown, place: string): readonly Statement[] {
  return list((document as { Statement: unknown }).Statement).map((raw): Statement => {
    const statement = raw as Readonly<Record<string, unknown>>;
    const unknown = Object.keys(statement).find((element) => !ELEMENTS.has(element));
    if (unknown !== undefined) throw unsupported(place, `the element ${unknown}`);
    const { Effect, Principal: principal, Action, Resource } = statement;
    return {
      effect: Effect as Statement['effect'],
      principals: principal === undefined ? null : readPrincipals(principal),
      actions: list(Action) as string[],
      resources: Resource === undefined ? null : (list(Resource) as string[]),
      conditions: Object.entries((statement.Condition ?? {}) as Record<string, Record<string, unknown>>).flatMap(
        ([operator, keys]) =>
          Object.entries(keys).map(([key, values]) => {
            if (!(operator in OPERATORS)) throw unsupported(place, `the operator ${operator}`);
            if (!KNOWN_KEYS.some((known) => known === key)) throw unsupported(place, `the condition key ${key}`);
            return { operator: operator as Condition['operator'], key, values: list(values).map(String) };
          }),
      ),
    };
  });
}

/** Evaluates a call against statements that speak of the caller: a role's, or those of `principal` in a resource's. */
export function evaluate(statements: readonly Statement[], call: Call, principal: Principal | null = null): Decision {
  const applying = statements.filter((statement) => applies(statement, call, principal));
  if (applying.some(({ effect }) => effect === 'Deny')) return 'explicitDeny';
  return applying.length > 0 ? 'allow' : 'implicitDeny';
}

function applies(statement: Statement, { action, resource, context }: Call, principal: Principal | null): boolean {
  return (
    speaksOf(statement, principal) &&
    statement.actions.some((pattern) => matches(pattern.toLowerCase(), action.toLowerCase())) &&
    (statement.resources === null || statement.resources.some((pattern) => matches(pattern, resource))) &&
    statement.conditions.every(({ operator, key, values }) => OPERATORS[operator](context[key], values))
  );
}

function speaksOf({ principals }: Statement, principal: Principal | null): boolean {
  if (principals === null || principal === null) return principals === principal;
  return principals.includes('*') || principals.includes('service' in principal ? principal.service : principal.arn);
}

const patterns = new Map<string, RegExp>();

/** Whether a text matches a pattern, in which `*` stands for any text and `?` for one character. */
function matches(pattern: string, text: string): boolean {
  if (!/[*?]/u.test(pattern)) return pattern === text;
  let compiled = patterns.get(pattern);
  if (compiled === undefined) {
    const source = pattern
      .replaceAll(/[^\w*?]/gu, String.raw`\$&`)
      .replaceAll('*', '.*')
      .replaceAll('?', '.');
    compiled = new RegExp(`^${source}$`, 's');
    patterns.set(pattern, compiled);
  }
  return compiled.test(text);
}

function readPrincipals(principal: unknown): string[] {
  if (typeof principal === 'string') return [principal];
  return Object.values(principal as Record<string, unknown>).flatMap((value) => list(value) as string[]);
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [value];
}

function unsupported(place: string, what: string): Error {
  return new Error(`the policy ${place} uses ${what}, which local/policy-language.ts does not know; add it there`);
}
