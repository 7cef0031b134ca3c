/** The syntax tree of a template. Lines count from 1. */
interface Located {
  readonly line: number;
}

export interface Arguments {
  readonly positional: readonly Expression[];
  readonly keywords: readonly (readonly [name: string, value: Expression])[];
  /** `*expression` and `**expression`. */
  readonly spread: Expression | undefined;
  readonly keywordSpread: Expression | undefined;
}

export interface Name extends Located {
  readonly kind: "name";
  readonly name: string;
}

export interface TupleNode extends Located {
  readonly kind: "tuple";
  readonly items: readonly Expression[];
}

/** `namespace.name`, to assign to. */
export interface NamespaceTarget extends Located {
  readonly kind: "namespace";
  readonly name: string;
  readonly attribute: string;
}

export interface FilterNode extends Located {
  readonly kind: "filter";
  /** None where the filter takes a block's text. */
  readonly input: Expression | undefined;
  readonly name: string;
  readonly args: Arguments;
}

export interface SliceNode extends Located {
  readonly kind: "slice";
  /** Start, stop, step. */
  readonly parts: readonly (Expression | undefined)[];
}

export type Expression =
  | Name
  | TupleNode
  | NamespaceTarget
  | FilterNode
  | SliceNode
  | (Located & {
      readonly kind: "constant";
      readonly value: null | boolean | bigint | number | string;
    })
  | (Located & { readonly kind: "list"; readonly items: readonly Expression[] })
  | (Located & {
      readonly kind: "dict";
      readonly pairs: readonly (readonly [Expression, Expression])[];
    })
  | (Located & { readonly kind: "attribute"; readonly object: Expression; readonly name: string })
  | (Located & { readonly kind: "item"; readonly object: Expression; readonly key: Expression })
  | (Located & { readonly kind: "call"; readonly callee: Expression; readonly args: Arguments })
  | (Located & {
      readonly kind: "test";
      readonly input: Expression;
      readonly name: string;
      readonly args: Arguments;
    })
  | (Located & {
      readonly kind: "unary";
      readonly operator: "-" | "+" | "not";
      readonly operand: Expression;
    })
  | (Located & {
      readonly kind: "binary";
      readonly operator: string;
      readonly left: Expression;
      readonly right: Expression;
    })
  | (Located & {
      readonly kind: "logic";
      readonly and: boolean;
      readonly left: Expression;
      readonly right: Expression;
    })
  | (Located & { readonly kind: "concat"; readonly items: readonly Expression[] })
  | (Located & {
      readonly kind: "compare";
      readonly first: Expression;
      readonly rest: readonly (readonly [operator: string, operand: Expression])[];
    })
  | (Located & {
      readonly kind: "if-else";
      readonly test: Expression;
      readonly value: Expression;
      readonly otherwise: Expression | undefined;
    });

export interface MacroNode extends Located {
  readonly kind: "macro";
  /** None of the body of a `call`. */
  readonly name: string | undefined;
  readonly parameters: readonly (readonly [name: string, fallback: Expression | undefined])[];
  readonly body: readonly Statement[];
  /** Which of `caller`, `varargs` and `kwargs` the body names. */
  readonly uses: ReadonlySet<string>;
}

export interface ForNode extends Located {
  readonly kind: "for";
  readonly target: Expression;
  readonly iterable: Expression;
  readonly test: Expression | undefined;
  readonly recursive: boolean;
  readonly body: readonly Statement[];
  readonly otherwise: readonly Statement[];
}

export type Statement =
  | MacroNode
  | ForNode
  | (Located & { readonly kind: "data"; readonly text: string })
  | (Located & { readonly kind: "output"; readonly value: Expression })
  | (Located & {
      readonly kind: "if";
      readonly branches: readonly (readonly [Expression, readonly Statement[]])[];
      readonly otherwise: readonly Statement[];
    })
  | (Located & { readonly kind: "set"; readonly target: Expression; readonly value: Expression })
  | (Located & {
      readonly kind: "set-block";
      readonly target: Expression;
      readonly filters: readonly FilterNode[];
      readonly body: readonly Statement[];
    })
  | (Located & {
      readonly kind: "filter-block";
      readonly filters: readonly FilterNode[];
      readonly body: readonly Statement[];
    })
  | (Located & {
      readonly kind: "with";
      readonly assignments: readonly (readonly [Expression, Expression])[];
      readonly body: readonly Statement[];
    })
  | (Located & {
      readonly kind: "call-block";
      readonly call: Expression;
      readonly caller: MacroNode;
    })
  | (Located & { readonly kind: "block"; readonly body: readonly Statement[] })
  | (Located & { readonly kind: "break" | "continue" });
