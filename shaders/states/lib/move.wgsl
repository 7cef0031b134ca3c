// Where a row of a step finds the state of its sequence, and where the state behind it goes: slots of each layer's states.
struct Move {
  source: u32, // NO_STATE: nothing was read yet
  to: u32,
}

const NO_STATE = 0xffffffffu;
