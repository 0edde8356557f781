/**
 * Asks AWS's own simulator whether the roles may make the recorded calls, with the AWS CLI and the caller's credentials
 * (iam:SimulateCustomPolicy). Deploys nothing and changes nothing. Leaves out the calls that services make for the
 * stack: the simulator takes no service as a caller.
 * @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulateCustomPolicy.html
 */
import { spawnSync } from 'node:child_process';
import type { CallShape } from '../../../local/call-shapes.ts';
import type { Statement } from '../../../local/policy-language.ts';
import type { StackPolicies } from '../../../local/policy-template.ts';

interface Result {
  readonly EvalActionName: string;
  readonly EvalDecision: string;
  readonly MissingContextValues?: readonly string[];
}

/** One request to the simulator: actions on one resource, with one set of condition keys. */
export interface Simulation {
  readonly PolicyInputList: readonly string[];
  readonly ActionNames: readonly string[];
  readonly ResourceArns: readonly string[];
  readonly ContextEntries: readonly {
    readonly ContextKeyName: string;
    readonly ContextKeyValues: readonly string[];
    readonly ContextKeyType: 'string' | 'stringList' | 'boolean';
  }[];
}

const LISTS = new Set(['dynamodb:Attributes', 'dynamodb:LeadingKeys', 'dynamodb:EnclosingOperation']);

/** Prints what the simulator does not allow. Returns whether that is anything. */
export function simulate(policies: StackPolicies, shapes: readonly CallShape[]): boolean {
  const simulations = toSimulations(policies, shapes);
  let refused = 0;
  for (const { caller, request } of simulations) {
    const answer = spawnSync(
      'aws',
      ['iam', 'simulate-custom-policy', '--output', 'json', '--cli-input-json', JSON.stringify(request)],
      { encoding: 'utf8' },
    );
    if (answer.status !== 0) throw new Error(`aws iam simulate-custom-policy failed: ${answer.stderr || answer.error}`);
    const { EvaluationResults } = JSON.parse(answer.stdout) as { readonly EvaluationResults: readonly Result[] };
    for (const { EvalActionName, EvalDecision, MissingContextValues = [] } of EvaluationResults) {
      if (EvalDecision === 'allowed') continue;
      refused += 1;
      console.log(
        `  ${EvalDecision}: ${caller} ${EvalActionName} ${request.ResourceArns[0]} ${MissingContextValues.join()}`,
      );
    }
  }
  console.log(`AWS's simulator: ${simulations.length} requests, ${refused || 'nothing'} refused`);
  return refused > 0;
}

/** The requests for all calls of roles. Calls that differ only in their action share one. */
export function toSimulations(
  { roles }: StackPolicies,
  shapes: readonly CallShape[],
): { readonly caller: string; readonly request: Simulation }[] {
  const groups = Map.groupBy(
    shapes.filter(({ caller }) => roles.has(caller)),
    ({ caller, resource, context }) => JSON.stringify([caller, resource, context]),
  );
  return [...groups.values()].map((group) => {
    const { caller, resource, context } = group[0]!;
    return {
      caller,
      request: {
        PolicyInputList: [place(JSON.stringify(toDocument(roles.get(caller)!)))],
        ActionNames: group.map(({ action }) => action),
        ResourceArns: [place(resource)],
        ContextEntries: Object.entries(context).map(([key, values]) => ({
          ContextKeyName: key,
          ContextKeyValues: values,
          ContextKeyType: LISTS.has(key) ? 'stringList' : key === 'aws:SecureTransport' ? 'boolean' : 'string',
        })),
      },
    };
  });
}

/** ARNs of this machine as ARNs of a place that AWS has. Roles have no region. */
function place(text: string): string {
  return text
    .replaceAll('arn:aws:iam::000000000000:', 'arn:aws:iam::123456789012:')
    .replaceAll(':my-machine-1:000000000000:', ':eu-central-1:123456789012:');
}

function toDocument(statements: readonly Statement[]): object {
  return {
    Version: '2012-10-17',
    Statement: statements.map(({ effect, actions, resources, conditions }) => ({
      Effect: effect,
      Action: actions,
      Resource: resources,
      ...(conditions.length > 0 && {
        Condition: Object.fromEntries(
          [...Map.groupBy(conditions, ({ operator }) => operator)].map(([operator, keys]) => [
            operator,
            Object.fromEntries(keys.map(({ key, values }) => [key, values])),
          ]),
        ),
      }),
    })),
  };
}
