/**
 * Holds recorded calls against policies: calls that are refused, and permissions that no call needs. Reads neither a
 * template nor a file.
 */
import type { CallShape } from '../../../local/call-shapes.ts';
import { type Caller, decide } from '../../../local/policy-authority.ts';
import type { Statement } from '../../../local/policy-language.ts';
import type { StackPolicies } from '../../../local/policy-template.ts';

export interface PermissionReport {
  /** Calls that are made but not allowed. */
  readonly refused: readonly CallShape[];
  /** Permissions that could go without any recorded call being refused. */
  readonly unused: readonly Permission[];
}

/** One action, resource or condition value of a statement that allows something. */
export interface Permission {
  /** The name of the role, or the ARN of the resource that has the policy. */
  readonly owner: string;
  /** The statement in short, by its resource or principal. */
  readonly statement: string;
  readonly part: string;
}

export function reportPermissions(policies: StackPolicies, shapes: readonly CallShape[]): PermissionReport {
  const isAllowed = (changed: StackPolicies, shape: CallShape): boolean =>
    decide(changed, toCaller(shape), shape) === 'allow';
  const allowed = shapes.filter((shape) => isAllowed(policies, shape));
  return {
    refused: shapes.filter((shape) => !allowed.includes(shape)),
    unused: listPermissions(policies)
      .filter(({ without }) => allowed.every((shape) => isAllowed(without, shape)))
      .map(({ permission }) => permission),
  };
}

/** Every permission, with the policies that lack just this one. */
export function listPermissions(
  policies: StackPolicies,
): { readonly permission: Permission; readonly without: StackPolicies }[] {
  return (['roles', 'resources'] as const).flatMap((kind) =>
    [...policies[kind]].flatMap(([owner, statements]) =>
      statements.flatMap((statement, place) =>
        statement.effect === 'Deny'
          ? []
          : partsOf(statement).map(({ part, rest }) => ({
              permission: { owner, statement: summarize(statement), part },
              without: { ...policies, [kind]: new Map([...policies[kind], [owner, statements.with(place, rest)]]) },
            })),
      ),
    ),
  );
}

/** The statement without each of its actions, resources and condition values. */
function partsOf(statement: Statement): { readonly part: string; readonly rest: Statement }[] {
  const { actions, resources, conditions } = statement;
  const others = <T>(values: readonly T[], value: T): T[] => values.filter((each) => each !== value);
  return [
    ...actions.map((action) => ({ part: action, rest: { ...statement, actions: others(actions, action) } })),
    ...(resources ?? []).map((resource) => ({
      part: resource,
      rest: { ...statement, resources: others(resources!, resource) },
    })),
    ...conditions.flatMap((condition, place) =>
      condition.values.map((value) => {
        const rest = { ...condition, values: others(condition.values, value) };
        return { part: `${condition.key} ${value}`, rest: { ...statement, conditions: conditions.with(place, rest) } };
      }),
    ),
  ];
}

function summarize({ resources, principals }: Statement): string {
  return (resources ?? principals ?? []).map((name) => name.replace(/^arn:aws:[^:]*:[^:]*:[^:]*:/u, '')).join(', ');
}

function toCaller({ caller }: CallShape): Caller {
  return caller.endsWith('.amazonaws.com')
    ? { kind: 'service', service: caller }
    : { kind: 'role', role: caller, session: 'recorded' };
}
