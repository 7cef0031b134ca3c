/** The fields of a repository's config.json that are read. */
export interface HubConfig {
  readonly model_type?: unknown;
  readonly hidden_size?: unknown;
  readonly num_hidden_layers?: unknown;
  readonly num_attention_heads?: unknown;
  readonly num_key_value_heads?: unknown;
  readonly head_dim?: unknown;
  readonly intermediate_size?: unknown;
  readonly vocab_size?: unknown;
  readonly max_position_embeddings?: unknown;
  readonly rms_norm_eps?: unknown;
  readonly rope_theta?: unknown;
  readonly rope_scaling?: unknown;
  /** Where newer versions of transformers keep both of the above. */
  readonly rope_parameters?: unknown;
  readonly sliding_window?: unknown;
  readonly sliding_window_pattern?: unknown;
  readonly use_sliding_window?: unknown;
  /** [L] kinds of attention, in newer files. */
  readonly layer_types?: unknown;
  /** [L] of SmolLM 3: 0 for a layer without RoPE. */
  readonly no_rope_layers?: unknown;
  readonly rope_local_base_freq?: unknown;
  readonly query_pre_attn_scalar?: unknown;
  readonly attention_multiplier?: unknown;
  readonly embedding_multiplier?: unknown;
  readonly residual_multiplier?: unknown;
  readonly logits_scaling?: unknown;
  /** The context that LongRoPE's models were trained for first. */
  readonly original_max_position_embeddings?: unknown;
  readonly hidden_act?: unknown;
  readonly hidden_activation?: unknown;
  readonly attn_logit_softcapping?: unknown;
  readonly final_logit_softcapping?: unknown;
  /** The decoder's part, in checkpoints that also take images. */
  readonly text_config?: unknown;
  readonly tie_word_embeddings?: unknown;
  readonly bos_token_id?: unknown;
  readonly eos_token_id?: unknown;
  /** The class it was saved from; several where it may be loaded as either. */
  readonly architectures?: unknown;
  readonly partial_rotary_factor?: unknown;
  readonly quantization_config?: unknown;
  readonly num_local_experts?: unknown;
  readonly num_experts?: unknown;
  readonly n_routed_experts?: unknown;
}
