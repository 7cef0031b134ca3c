// lib/quad for an invocation that loads by itself all it needs.

const SHARE = 1u;

struct Invocation { @builtin(local_invocation_index) index: u32 }

fn lane_of(invocation: Invocation) -> u32 { return 0u; }

alias Quarters = f32;

fn from0(v: vec4<f32>) -> vec4<f32> { return v; }
fn of0(v: vec4<f32>) -> vec4<f32> { return v; }
fn total(parts: Quarters) -> f32 { return parts; }
fn most(v: u32) -> u32 { return v; }
