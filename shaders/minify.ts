/**
 * Shaders as they are shipped: without comments and the spaces that part no tokens, and with short names. A name is
 * replaced by the same one in every file, since kernels are joined from several (src/kernels): an injective renaming
 * to names that occur nowhere else changes no meaning. Names stay where something else may know them: words of
 * `taken` (TypeScript that writes WGSL), what WGSL itself defines, and names that are made by replacement:
 * `source_` and SOURCE_ (src/kernels/page-code.ts), and by counting, `acc$h` (src/kernels/unroll.ts).
 */

/** A line of instructions to src/kernels; a comment; a name, with what unroll puts in; a number; anything else. */
const TOKEN = /\/\/:.*|\/\/.*|[A-Za-z_][\w$]*|\$?[\d]\w*(?:\.\w*)?|\$\w+|\s+|[^\s\w$]/g;
const NAME = /^[A-Za-z_]/;
const INSTRUCTION = "//:";

/** Declares a name: functions, types, constants, variables, or, before a colon, parameters and members. */
const DECLARED = /\b(?:fn|struct|alias|const|let|var(?:<[^>]*>)?)\s+([A-Za-z_]\w*)|\b([A-Za-z_]\w*)(?=[$\w]*\s*:)/g;

/** What WGSL defines and a shader here declares under the same name, or might: never replaced. */
const OF_WGSL = new Set(
  `abs all any clamp cross cosh countOneBits degrees determinant distance dot exp exp2 extractBits floor fma fract
  insertBits length log log2 max min mix modf normalize pow radians reflect refract reverseBits round saturate select
  sign sin sinh smoothstep sqrt step tan tanh transpose trunc whole old_value exchanged function private workgroup
  uniform storage read write read_write position index vertex_index instance_index front_facing main
  workgroup_id num_workgroups local_invocation_id local_invocation_index global_invocation_id
  as do if in is of or fn ref mod get set new try asm use for i32 u32 f32 f16 let var enum bool true else case
  loop with self this move impl type pass null from enable requires diagnostic`.split(/\s+/),
);
