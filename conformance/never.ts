/**
 * Names of PyTorch that this library will not have, each with the reason: what belongs to another runtime, is private machinery, or is gone
 * from PyTorch itself. Everything that is merely missing is "not yet". Rules are tried in order; a name that is there is never "never".
 */
export interface NeverRule {
  /** Namespace of `torch-api.json`, or several. */
  readonly namespaces: readonly string[] | 'all';
  readonly names: RegExp;
  readonly reason: string;
}

export const neverRules: readonly NeverRule[] = [
  { namespaces: ['Tensor_dunder'], names: /./, reason: 'JavaScript has no operator overloading: x.add(y), x.at(i), x.set(i, v)' },
  {
    namespaces: ['torch'],
    names: /^(cudnn|miopen|mkldnn|fbgemm)_|_linear_fp16|^is_vulkan_available$|^init_num_threads$/,
    reason: 'binding of one vendor library, not meant to be called',
  },
  {
    namespaces: ['torch', 'Tensor'],
    names: /quantize|quantized|^q_|^qscheme$|^int_repr$|^dequantize$|fake_quant|choose_qparams/,
    reason: 'eager quantized tensors: deprecated in PyTorch in favour of torchao',
  },
  {
    namespaces: ['torch', 'Tensor'],
    names: /^(symeig|eig|lstsq|solve|matrix_rank|chain_matmul|volatile|reinforce|range)$/,
    reason: 'removed from or deprecated in PyTorch: use torch.linalg, torch.arange',
  },
  { namespaces: ['torch'], names: /^sym_/, reason: 'symbolic sizes of TorchDynamo; sizes are symbols here by themselves' },
  {
    namespaces: ['torch'],
    names: /^(compiled_with_cxx11_abi|cond|while_loop)$/,
    reason: 'every program is compiled here; control flow is JavaScript',
  },
  { namespaces: ['torch'], names: /vital|^profiler_allow|^classproperty$|^is_storage$/, reason: 'private machinery of the Python package' },
  {
    namespaces: ['torch'],
    names: /autocast_(gpu|ipu|xla|cpu)_|^(set|get|is)_autocast_(gpu|ipu|xla|cpu)|^is_autocast_\w+_enabled$|^autocast_(in|de)crement/,
    reason: 'private or deprecated state of autocast',
  },
  {
    namespaces: ['torch'],
    names: /^(batch_norm_(stats|elemt|gather|backward|update)|fused_moving_avg)/,
    reason: 'kernels of SyncBatchNorm and observers on CUDA',
  },
  {
    namespaces: ['torch'],
    names: /^(from_dlpack|to_dlpack|from_file|set_default_tensor_type)$/,
    reason: 'no DLPack and no mmap in JavaScript; default tensor types are deprecated',
  },
  { namespaces: ['torch'], names: /^(dsmm|hsmm|saddmm|smm|hspmm|spmm|sspaddmm)$/, reason: 'legacy sparse names' },
  { namespaces: ['Tensor'], names: /^(resize|resize_as)$/, reason: 'deprecated in PyTorch: resize_, resize_as_' },
  {
    namespaces: ['torch', 'Tensor'],
    names: /^(align_tensors|align_as|align_to|names|name|has_names|refine_names|rename|rename_)$/,
    reason: 'named tensors: a prototype that PyTorch does not develop further',
  },
  {
    namespaces: ['Tensor'],
    names:
      /^(is_)?(ipu|xla|mtia|maia|hpu|vulkan|xpu|mps|mkldnn|meta)$|^to_mkldnn$|^(pin_memory|is_pinned|is_shared|share_memory_|record_stream|is_distributed)$/,
    reason: 'a device or process model that does not exist here',
  },
  {
    namespaces: ['Tensor'],
    names: /^(storage|storage_type|untyped_storage|is_set_to|set_|module_load|as_subclass|new|apply_|map_|map2_)$/,
    reason: "storages and subclasses of the Python class; values live in the engine's graph",
  },
  {
    namespaces: ['nn'],
    names: /^(Container|DataParallel|CrossMapLRN2d|NLLLoss2d|SyncBatchNorm)$/,
    reason: 'deprecated, or of several processes',
  },
  {
    namespaces: ['nn.functional'],
    names: /torch_function|^(assert_int_or_pair|boolean_dispatch)$|_mm$/,
    reason: 'private helpers of the Python module',
  },
  {
    namespaces: ['nn.init'],
    names: /^(constant|dirac|eye|kaiming_normal|kaiming_uniform|normal|orthogonal|sparse|uniform|xavier_normal|xavier_uniform)$/,
    reason: 'deprecated: the names with an underscore',
  },
  { namespaces: ['nn.attention'], names: /flash_attention/, reason: 'registry of CUDA kernels' },
  { namespaces: ['sparse'], names: /semi_structured|as_sparse_gradcheck|spsolve/, reason: 'of CUDA, or of tests' },
  {
    namespaces: ['utils.data'],
    names:
      /DataPipe|DFIter|DataChunk|Kind$|^(argument_validation|functional_datapipe|guaranteed_|non_deterministic|runtime_validation)|DistributedSampler/,
    reason: 'DataPipes are deprecated; there is one process',
  },
  {
    namespaces: ['utils.checkpoint'],
    names:
      /^(CheckpointFunction|DefaultDeviceType|GraphExecGroup|check_backward_validity|detach_variable|get_device_states|set_device_states|noop_context_fn|set_checkpoint)/,
    reason: 'private helpers of the Python module',
  },
  {
    namespaces: ['autograd'],
    names: /^(NestedIOFunction|Variable|variable|set_multithreading_enabled)$/,
    reason: 'deprecated, or threads of the C++ engine',
  },
  { namespaces: ['func'], names: /^(debug_unwrap|functionalize)$/, reason: 'of functorch wrappers' },
  {
    namespaces: ['cuda'],
    names:
      /Storage$|Tensor$|cudart|cudaStatus|ipc_|caching_allocator|Green|MemPool|mem_pool|gencode|blas|tf32|sync_debug|Deferred|jiterator/,
    reason: 'the CUDA runtime under its own names',
  },
  {
    namespaces: ['onnx', 'profiler', 'nested', 'amp'],
    names:
      /^(ExportableModule|InputObserver|ONNXProgram|OnnxExporterError|is_in_onnx_export|ExecutionTraceObserver|kineto_available|tensorboard_trace_handler|supported_activities)$/,
    reason: 'of the Python exporter and profiler',
  },
];

export function neverReason(namespace: string, name: string): string | null {
  return neverRules.find((r) => (r.namespaces === 'all' || r.namespaces.includes(namespace)) && r.names.test(name))?.reason ?? null;
}
