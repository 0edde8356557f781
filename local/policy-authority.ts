/**
 * Says yes or no to calls, by the policies of the stack, and tells who asked for what. Knows no protocols.
 */
import { evaluate, type Call, type Decision } from './policy-language.ts';
import type { StackPolicies } from './policy-template.ts';
import { LOCAL_ACCOUNT } from './template.ts';

/** Who makes a call: a session of a role of the stack, or a service of AWS. */
export type Caller =
  | { readonly kind: 'role'; readonly role: string; readonly session: string }
  | { readonly kind: 'service'; readonly service: string };

/** Answers for IAM. */
export interface Authority {
  /** The sentence with which AWS refuses the first call that is not allowed; null if all are. */
  refusal(caller: Caller, calls: readonly Call[]): string | null;
}

/** `onCall` hears of every call, before it is judged. */
export function createAuthority(
  policies: StackPolicies,
  onCall: (caller: Caller, call: Call) => void = () => {},
): Authority {
  return {
    refusal(caller, calls) {
      for (const call of calls) {
        onCall(caller, call);
        const decision = decide(policies, caller, call);
        if (decision !== 'allow') return refusalOf(caller, call, decision);
      }
      return null;
    },
  };
}

/**
 * Evaluates one call. Within an account, a role may do what its own policy or the resource's allows, unless one of them
 * denies it. A service may do what the resource's policy allows.
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics.html
 */
export function decide({ roles, resources }: StackPolicies, caller: Caller, call: Call): Decision {
  const ofResource = resources.get(call.resource) ?? [];
  if (caller.kind === 'service') return evaluate(ofResource, call, { service: caller.service });
  const arn = `arn:aws:iam::${LOCAL_ACCOUNT}:role/${caller.role}`;
  const decisions = [evaluate(roles.get(caller.role) ?? [], call), evaluate(ofResource, call, { arn })];
  return (
    decisions.find((each) => each === 'explicitDeny') ?? decisions.find((each) => each === 'allow') ?? decisions[0]!
  );
}

/** @see https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html */
function refusalOf(caller: Caller, { action, resource }: Call, decision: Decision): string {
  const user =
    caller.kind === 'service'
      ? caller.service
      : `arn:aws:sts::${LOCAL_ACCOUNT}:assumed-role/${caller.role}/${caller.session}`;
  const kind = caller.kind === 'service' ? 'resource-based' : 'identity-based';
  const reason =
    decision === 'explicitDeny'
      ? `with an explicit deny in a policy`
      : `because no ${kind} policy allows the ${action} action`;
  return `User: ${user} is not authorized to perform: ${action} on resource: ${resource} ${reason}`;
}
