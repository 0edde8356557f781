/**
 * Synthesizes the stack for a context, as `cdk synth` does but without bundles, and finds what CloudFormation or a
 * service would refuse, or what opens the stack to everybody. Asks AWS nothing.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { App } from 'aws-cdk-lib';
import { SynthesisMessageLevel } from 'aws-cdk-lib/cx-api';
import { addRollcall } from '../../../cdk/stack.ts';

/** A resource of a template. */
export interface TemplateResource {
  readonly Type: string;
  readonly Properties?: Readonly<Record<string, unknown>>;
  readonly DependsOn?: string | readonly string[];
  readonly DeletionPolicy?: string;
  readonly UpdateReplacePolicy?: string;
}

/** A template, as far as it is checked here. */
export interface StackTemplate {
  readonly Resources: Readonly<Record<string, TemplateResource>>;
  readonly Outputs?: Readonly<Record<string, unknown>>;
  readonly Parameters?: Readonly<Record<string, unknown>>;
}

/** What a synthesis gives. */
export interface Synthesis {
  readonly stackName: string;
  readonly template: StackTemplate;
  /** The template as text, as CloudFormation gets it. */
  readonly text: string;
  /** Warnings that `cdk synth` prints. */
  readonly warnings: readonly string[];
}

/** What cdk.json tells the CDK besides the context of a deployment. */
const CDK_CONTEXT = (
  JSON.parse(readFileSync(new URL('../../../cdk.json', import.meta.url), 'utf8')) as { readonly context: object }
).context;

/**
 * The template for this context.
 * @throws Error for an invalid context, and for a finding of cdk-nag
 */
export function synthesize(context: Readonly<Record<string, unknown>>): Synthesis {
  const outdir = mkdtempSync(path.join(tmpdir(), 'rollcall-template-'));
  try {
    const app = new App({ outdir, context: { ...CDK_CONTEXT, 'aws:cdk:bundling-stacks': [], ...context } });
    const { stackName, templateFile } = addRollcall(app);
    const { messages } = app.synth().getStackByName(stackName);
    const text = readFileSync(path.join(outdir, templateFile), 'utf8');
    return {
      stackName,
      template: JSON.parse(text) as StackTemplate,
      text,
      warnings: messages
        .filter(({ level }) => level !== SynthesisMessageLevel.INFO)
        .map(({ entry }) => JSON.stringify(entry.data)),
    };
  } finally {
    rmSync(outdir, { recursive: true });
  }
}

/**
 * The quotas that a template must keep.
 * @see https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
 * @see https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
 */
export const QUOTAS = {
  templateBytes: 1_000_000,
  resources: 500,
  outputs: 200,
  /** All inline policies of a role together, without white space. */
  rolePolicyCharacters: 10_240,
  /** All environment variables of a function together. */
  environmentBytes: 4096,
} as const;

/** Everything that is wrong with a template, one line each. */
export function findTemplateFaults(template: StackTemplate): string[] {
  return [...findDanglingReferences(template), ...findExceededQuotas(template), ...findOpenDoors(template)];
}

/** References to what the template does not have: by Ref, Fn::GetAtt, Fn::Sub or DependsOn. */
function findDanglingReferences({ Resources, Outputs = {}, Parameters = {} }: StackTemplate): string[] {
  const names = new Set([...Object.keys(Resources), ...Object.keys(Parameters)]);
  return Object.entries({ ...Resources, ...Outputs }).flatMap(([id, element]) => {
    const dependencies = [(element as { readonly DependsOn?: string | readonly string[] }).DependsOn ?? []].flat();
    return [...dependencies, ...referencesOf(element)]
      .filter((name) => !names.has(name) && !name.startsWith('AWS::'))
      .map((name) => `${id} refers to ${name}, which does not exist`);
  });
}

function referencesOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(referencesOf);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) => {
    if (key === 'Ref') return [inner as string];
    if (key === 'Fn::GetAtt') return String([inner].flat()[0]).split('.', 1);
    if (key === 'Fn::Sub') {
      const [text, variables = {}] = [inner].flat() as [string, object?];
      const given = Object.keys(variables);
      const names = [...text.matchAll(/\$\{([^!}.]+)[^}]*\}/g)].map(([, name = '']) => name);
      return [...names.filter((name) => !given.includes(name)), ...referencesOf(variables)];
    }
    return referencesOf(inner);
  });
}

function findExceededQuotas({ Resources, Outputs = {}, Parameters = {} }: StackTemplate): string[] {
  const all = Object.entries(Resources);
  const policyCharacters = new Map<string, number>();
  for (const [, { Type, Properties = {} }] of all) {
    if (Type !== 'AWS::IAM::Policy') continue;
    for (const role of Properties.Roles as unknown[]) {
      const name = JSON.stringify(role);
      const length = JSON.stringify(Properties.PolicyDocument).length;
      policyCharacters.set(name, (policyCharacters.get(name) ?? 0) + length);
    }
  }
  const environments = all
    .filter(([, { Type }]) => Type === 'AWS::Lambda::Function')
    .map(([id, { Properties }]): [string, number] => [id, JSON.stringify(Properties?.Environment ?? '').length]);
  const counted: readonly (readonly [string, number, number])[] = [
    ['the template', JSON.stringify({ Resources, Outputs, Parameters }, null, 1).length, QUOTAS.templateBytes],
    ['the resources', all.length, QUOTAS.resources],
    ['the outputs', Object.keys(Outputs).length, QUOTAS.outputs],
    ...[...policyCharacters].map(([role, size]) => [`policies of ${role}`, size, QUOTAS.rolePolicyCharacters] as const),
    ...environments.map(([id, size]) => [`environment of ${id}`, size, QUOTAS.environmentBytes] as const),
  ];
  return counted
    .filter(([, size, quota]) => size > quota)
    .map(([what, size, quota]) => `${what}: ${size}, above the quota of ${quota}`);
}

interface Statement {
  readonly Effect: string;
  readonly Action?: unknown;
  readonly Principal?: unknown;
  readonly Resource?: unknown;
}

/** What lets in everybody, or lets a role do everything. */
function findOpenDoors({ Resources }: StackTemplate): string[] {
  return Object.entries(Resources).flatMap(([id, { Type, Properties = {} }]) => {
    if (Type === 'AWS::Lambda::Url') return [`${id} gives a function an address of its own`];
    if (Type === 'AWS::Lambda::Permission') {
      const isOpen = Properties.Principal === '*' || (isService(Properties.Principal) && !Properties.SourceArn);
      return isOpen ? [`${id} lets everybody invoke a function`] : [];
    }
    const allowed = statementsOf(Properties).filter(({ Effect }) => Effect === 'Allow');
    return [
      ...allowed.filter(({ Principal }) => isEverybody(Principal)).map(() => `${id} lets in everybody`),
      ...allowed
        .filter(({ Action }) => [Action].flat().some((action) => /^(?:\*|[\w-]+:\*)$/.test(String(action))))
        .map(() => `${id} allows all actions of a service`),
      ...allowed
        .filter(({ Action, Resource }) => [Resource].flat().includes('*') && !isForNetworkInterfaces(Action))
        .map(() => `${id} allows actions on all resources`),
    ];
  });
}

/** The statements in the policies of a resource, whatever the property is called. */
function statementsOf(properties: Readonly<Record<string, unknown>>): Statement[] {
  return Object.values(properties).flatMap((value) => {
    const statements = (value as { readonly Statement?: Statement[] } | null)?.Statement;
    return Array.isArray(statements) ? statements : [];
  });
}

function isEverybody(principal: unknown): boolean {
  return principal === '*' || [(principal as { readonly AWS?: unknown } | undefined)?.AWS].flat().includes('*');
}

function isService(principal: unknown): boolean {
  return typeof principal === 'string' && principal.endsWith('.amazonaws.com');
}

/** Lambda needs these on `*` to attach a function to a VPC: its network interfaces do not exist yet. */
function isForNetworkInterfaces(action: unknown): boolean {
  return [action].flat().every((name) => String(name).startsWith('ec2:'));
}
