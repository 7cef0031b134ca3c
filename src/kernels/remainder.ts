/** WGSL to read what kv heads have dropped, in sum, and to add to it: see shaders/lib/remainder.wgsl. */
import remainder from "../../shaders/lib/remainder.wgsl?raw";
import remember from "../../shaders/lib/remember.wgsl?raw";

export const remainderCode = remainder;
export const rememberCode = [remainder, remember];
