"""Every key of Axolotl's config, by what a recipe has to do with it: set by one of its own keys, open to its
`axolotl:` map, or refused, each with the reason. A test compares the three with Axolotl's own model.
"""

from __future__ import annotations

import msgspec

from runner.recipe.overrides import Overrides
from runner.wording import nearest, show

OPEN = frozenset(f.name for f in msgspec.structs.fields(Overrides))

# Axolotl's key → the recipe's, where the recipe has one of its own.
OWN = {
    "base_model": "model.base", "revision_of_model": "model.revision", "model_revision": "model.revision",
    "chat_template": "model.template", "chat_template_jinja": "model.template", "eot_tokens": "model.end_of_turn",
    "sequence_len": "model.max_length", "eval_sequence_len": "model.max_length",
    "excess_length_strategy": "model.over_length",
    "datasets": "sources", "test_datasets": "split.validation", "val_set_size": "split.validation",
    "dataset_exact_deduplication": "dedup", "train_on_inputs": "train.roles",
    "adapter": "adapter.type", "load_in_4bit": "adapter.type", "bnb_config_kwargs": "adapter.quant_type",
    "lora_r": "adapter.r", "lora_alpha": "adapter.alpha", "lora_dropout": "adapter.dropout",
    "lora_target_modules": "adapter.targets", "lora_target_linear": "adapter.targets",
    "lora_modules_to_save": "adapter.modules_to_save", "peft_use_dora": "adapter.dora",
    "peft_use_rslora": "adapter.rslora",
    "num_epochs": "train.epochs", "max_steps": "train.max_steps", "learning_rate": "train.learning_rate",
    "lr_scheduler": "train.schedule", "lr_scheduler_kwargs": "train.schedule", "cosine_min_lr_ratio": "train.min_lr",
    "warmup_ratio": "train.warmup", "warmup_steps": "train.warmup_steps", "weight_decay": "train.weight_decay",
    "max_grad_norm": "train.max_grad_norm", "neftune_noise_alpha": "train.neftune_alpha",
    "noisy_embedding_alpha": "train.neftune_alpha", "micro_batch_size": "train.micro_batch",
    "gradient_accumulation_steps": "train.effective_batch", "batch_size": "train.effective_batch",
    "sample_packing": "train.packing", "pad_to_sequence_len": "train.packing",
    "eval_sample_packing": "train.evaluation_packing", "group_by_length": "train.group_by_length",
    "curriculum_sampling": "train.group_by_length", "attn_implementation": "train.attention",
    "flash_attention": "train.attention", "flex_attention": "train.attention", "sdp_attention": "train.attention",
    "eager_attention": "train.attention", "xformers_attention": "train.attention",
    "sage_attention": "train.attention", "gradient_checkpointing": "train.gradient_checkpointing",
    "bf16": "train.precision", "fp16": "train.precision", "bfloat16": "train.precision",
    "float16": "train.precision", "float32": "train.precision", "optimizer": "train.optimizer",
    "save_steps": "train.save_every", "save_strategy": "train.save_every", "saves_per_epoch": "train.save_every",
    "save_first_step": "train.save_every", "save_total_limit": "train.keep_checkpoints",
    "eval_steps": "train.evaluate_every", "eval_strategy": "train.evaluate_every",
    "evaluation_strategy": "train.evaluate_every", "evals_per_epoch": "train.evaluate_every",
    "early_stopping_patience": "train.early_stopping", "load_best_model_at_end": "train.keep_best",
    "metric_for_best_model": "train.keep_best", "greater_is_better": "train.keep_best", "seed": "seed",
    "deepspeed": "compute.strategy", "fsdp": "compute.strategy", "fsdp_config": "compute.strategy",
    "fsdp_version": "compute.strategy", "fsdp_final_state_dict_type": "compute.strategy", "ddp": "compute.strategy",
    "world_size": "compute.gpus", "ray_num_workers": "compute.gpus",
    "use_ray": "compute.engine", "ray_run_name": "name", "resources_per_worker": "compute.resources",
    "dp_shard_size": "compute.gpus", "dp_replicate_size": "compute.gpus",
    "use_wandb": "track.wandb", "wandb_project": "track.wandb.project", "wandb_mode": "track.wandb.mode",
    "wandb_entity": "track.wandb.entity", "use_tensorboard": "track.tensorboard", "use_trackio": "track.trackio",
    "trackio_project_name": "track.trackio.project",
}  # fmt: skip

_CODE = "it names code to be run, and a recipe is data"
_PATH = "it names a file or folder of its own choice"
_NET = "it sends something over the network or asks a hub"
_SECRET = "it holds a secret, or sends to a service that needs one"
_DATA = "it changes which rows or tokens are trained, behind the ledger's and the proof's back"
_MODEL = "it changes the model itself, so that what was trained no longer fits its base"
_LOSS = "it changes what is learnt: another loss, another method"
_OURS = "mirepoix sets it itself"
_INSIDE = "Axolotl keeps its own account in it"
_GONE = "Axolotl no longer supports it"
_PLACE = "it decides where weights and processes go, which compute.gpus and compute.strategy do"
_RARE = "it is for a few models or machines only, and was not reviewed"
_OTHER = "it is for another kind of training (preferences, rewards, pretraining, images)"

_WHY: dict[str, str] = {
    _CODE: "plugins trainer_cls trust_remote_code torchdistx_path use_kernels torch_compile_backend "
    "torch_compile_options flex_attn_compile_kwargs optim_args experts_implementation cls_model_config "
    "tokenizer_type processor_type processor_kwargs type_of_model model_type overrides_of_model_kwargs model_kwargs "
    "accelerator_config",
    _PATH: "output_dir dataset_prepared_path lora_model_dir base_model_config tokenizer_config resume_from_checkpoint "
    "axolotl_config_path dynamic_checkpoint profiler_steps profiler_steps_start",
    _NET: "hub_model_id hub_strategy hub_revision push_dataset_to_hub hf_use_auth_token trackio_space_id "
    "wandb_log_model use_mlflow mlflow_tracking_uri mlflow_experiment_name mlflow_run_name hf_mlflow_log_artifacts "
    "use_otel_metrics otel_metrics_host otel_metrics_port gradio_title gradio_share gradio_server_name "
    "gradio_server_port gradio_max_new_tokens gradio_temperature do_bench_eval bench_dataset bench_split "
    "do_causal_lm_eval eval_causal_lm_metrics wandb_watch",
    _SECRET: "use_comet comet_api_key comet_workspace comet_project_name comet_experiment_key comet_mode comet_online "
    "comet_experiment_config",
    _DATA: "special_tokens tokens added_tokens_overrides default_system_message chat_template_kwargs min_sample_len "
    "shuffle_merged_datasets shuffle_before_merging_datasets dataset_shard_num dataset_shard_idx "
    "skip_prepare_dataset num_dataset_shards_to_save streaming streaming_multipack_buffer_size batch_flattening "
    "sample_packing_sequentially sample_packing_eff_est multipack_real_batches remove_unused_columns "
    "tokenizer_use_fast tokenizer_legacy tokenizer_use_mistral_common role_boundaries use_pose "
    "pose_split_on_token_ids pose_max_context_len pose_num_chunks auto_find_batch_size dataloader_drop_last",
    _MODEL: "overrides_of_model_config model_config resize_token_embeddings_to_32x mean_resizing_embeddings "
    "shrink_embeddings reinit_weights fix_untrained_tokens quantization qat model_quantization_config "
    "model_quantization_config_kwargs use_onebitllms scaling_softmax scaling_softmax_factor scaling_softmax_bias "
    "peft_init_lora_weights peft_layer_replication peft_trainable_token_indices peft_ensure_weight_tying peft "
    "lora_fan_in_fan_out lora_target_parameters lora_rank_pattern lora_alpha_pattern peft_layers_pattern relora "
    "relora_prune_ratio relora_prune_method relora_cpu_offload merge_lora merge_method load_in_8bit gptq "
    "freeze_mm_modules unfrozen_parameters quantize_moe_experts llama4_linearized_experts",
    _LOSS: "use_eaft eaft_alpha eaft_k lisa_n_layers lisa_step_interval lisa_layers_attribute lr_groups "
    "lr_quadratic_warmup lr_div_factor jagged_restart_steps jagged_restart_warmup_steps jagged_restart_anneal_steps "
    "adam_epsilon2 adam_beta3 dion_lr dion_momentum dion_rank_fraction dion_rank_multiple_of optim_target_modules "
    "qgalore_rank qgalore_update_proj_gap qgalore_scale qgalore_proj_type qgalore_proj_quant qgalore_proj_bits "
    "qgalore_proj_group_size qgalore_cos_threshold qgalore_gamma_proj qgalore_queue_size loss_watchdog_threshold "
    "loss_watchdog_patience",
    _OURS: "auto_resume_from_checkpoints save_only_model save_safetensors logging_steps dataset_num_proc "
    "dataset_processes dataset_keep_in_memory wandb_name wandb_run_id trackio_run_name tokenizer_save_jinja_files "
    "generate_samples num_generation_samples generation_max_new_tokens generation_temperature generation_top_p "
    "generation_top_k generation_prompt_ratio generation_do_sample eval_table_size eval_max_new_tokens strict "
    "sample_packing_mp_start_method",
    _INSIDE: "is_preprocess preprocess_iterable total_num_tokens total_supervised_tokens is_falcon_derived_model "
    "is_llama_derived_model is_mistral_derived_model is_qwen_derived_model local_rank device gc_steps",
    _GONE: "max_packed_sequence_len rope_scaling dpo_beta dpo_use_logits_to_keep dpo_generate_during_eval "
    "dpo_norm_loss rpo_alpha s2_attention flash_attn_rms_norm flash_optimum pretrain_multipack_buffer_size "
    "sequence_parallel_degree flash_attn_d512",
    _PLACE: "device_map max_memory gpu_memory_limit low_cpu_mem_usage tensor_parallel_size context_parallel_size "
    "heads_k_stride ring_attn_func deepcompile "
    "ddp_find_unused_parameters qlora_sharded_model_loading experimental_skip_move_to_device ple_cpu_offload "
    "fp32_norms fp32_norm_classes fp8 fp8_config fp8_enable_fsdp_float8_all_gather",
    _RARE: "gemma4_hybrid_attn_impl large_head_attention flash_attn_cross_entropy flash_attn_fuse_mlp "
    "tiled_mlp_use_original_mlp",
    _OTHER: "rl trl vllm ebft reward_model process_reward_model center_rewards_coefficient num_labels "
    "dpo_use_weighting dpo_label_smoothing precompute_ref_log_probs dpo_use_liger_kernel dpo_padding_free "
    "dpo_loss_type dpo_loss_weights pretraining_dataset pretrain_multipack_attn pretraining_sample_concatenation "
    "max_prompt_len orpo_alpha simpo_gamma cpo_alpha kto_desirable_weight kto_undesirable_weight rl_beta image_size "
    "image_resize_algorithm",
}
REFUSED = {key: reason for reason, keys in _WHY.items() for key in keys.split()}


def why_not(key: str) -> str:
    """Why a recipe cannot have this key under `axolotl:`."""
    if key in OWN:
        return f"the recipe has a key of its own for it: {OWN[key]}"
    if key in REFUSED:
        return f"Axolotl has it, but a recipe cannot set it: {REFUSED[key]}"
    return f"Axolotl knows no key {show(key)}{nearest(key, [*OPEN, *OWN, *REFUSED])}"
