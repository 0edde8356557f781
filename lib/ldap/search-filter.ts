/**
 * Encodes filters in BER. The filters of ldapts take text and corrupt bytes that are not UTF-8; these write the bytes
 * of an assertion unchanged. Parses no text.
 */
import { type BerWriter, Filter as LdaptsFilter, SearchFilter } from 'ldapts';
import type { Filter } from '../settings/filter.ts';

const CHOICE = {
  and: SearchFilter.and,
  or: SearchFilter.or,
  not: SearchFilter.not,
  equal: SearchFilter.equalityMatch,
  substrings: SearchFilter.substrings,
  greaterOrEqual: SearchFilter.greaterOrEqual,
  lessOrEqual: SearchFilter.lessOrEqual,
  present: SearchFilter.present,
  approximate: SearchFilter.approxMatch,
  extensible: SearchFilter.extensibleMatch,
} as const;

const OCTET_STRING = 0x04;

class WireFilter extends LdaptsFilter {
  readonly type: (typeof CHOICE)[Filter['kind']];
  readonly filter: Filter;

  constructor(filter: Filter) {
    super();
    this.type = CHOICE[filter.kind];
    this.filter = filter;
  }

  override write(writer: BerWriter): void {
    writeFilter(this.filter, writer);
  }

  override toString(): string {
    return this.filter.kind;
  }
}

/** The filter in the form that the requests of ldapts take. */
export function toSearchFilter(filter: Filter): LdaptsFilter {
  return new WireFilter(filter);
}

/** RFC 4511 section 4.5.1. */
function writeFilter(filter: Filter, writer: BerWriter): void {
  const choice = CHOICE[filter.kind];
  if (filter.kind === 'present') {
    writer.writeString(filter.attribute, choice);
    return;
  }
  writer.startSequence(choice);
  switch (filter.kind) {
    case 'and':
    case 'or':
      for (const inner of filter.filters) writeFilter(inner, writer);
      break;
    case 'not':
      writeFilter(filter.filter, writer);
      break;
    case 'substrings':
      writer.writeString(filter.attribute);
      writer.startSequence();
      if (filter.initial !== null) writeBytes(writer, filter.initial, 0x80);
      for (const part of filter.any) writeBytes(writer, part, 0x81);
      if (filter.final !== null) writeBytes(writer, filter.final, 0x82);
      writer.endSequence();
      break;
    case 'extensible':
      if (filter.rule !== null) writer.writeString(filter.rule, 0x81);
      if (filter.attribute !== null) writer.writeString(filter.attribute, 0x82);
      writeBytes(writer, filter.value, 0x83);
      if (filter.dnAttributes) writer.writeBoolean(true, 0x84);
      break;
    case 'equal':
    case 'greaterOrEqual':
    case 'lessOrEqual':
    case 'approximate':
      writer.writeString(filter.attribute);
      writeBytes(writer, filter.value, OCTET_STRING);
      break;
  }
  writer.endSequence();
}

function writeBytes(writer: BerWriter, bytes: Uint8Array, tag: number): void {
  writer.writeBuffer(Buffer.from(bytes), tag);
}
