// The operators that a module's code can run.
#include "internal.h"

#include <algorithm>
#include <set>
#include <vector>

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>

using tb::give;
using tb::guarded;
using tb::kNoGrad;
using tb::need;
using torch::jit::Block;
using torch::jit::Function;
using torch::jit::Graph;
using torch::jit::Module;
using torch::jit::Node;

namespace {

// Every function is looked at once, instead of inlining calls: functions that
// call one another twice each would inline to more than memory holds.
class Operators {
 public:
  void add(Function* f) {
    if (f == nullptr || !seen_.insert(f).second) return;
    if (f->isGraphFunction()) {
      waiting_.push_back(f);
    } else {
      names_.insert("prim::CallMethod");  // made in C++: nothing to look into
    }
  }

  void add(c10::TypePtr type) { types_.push_back(std::move(type)); }

  std::vector<std::string> names() {
    while (!waiting_.empty() || !types_.empty()) {
      if (!types_.empty()) {
        const auto type = types_.back();
        types_.pop_back();
        visit(type);
      } else {
        auto* f = waiting_.back();
        waiting_.pop_back();
        visit(*torch::jit::toGraphFunction(*f).graph());
      }
    }
    return {names_.begin(), names_.end()};
  }

 private:
  // Classes lie within other types as well: Optional[T], Dict[str, T].
  void visit(const c10::TypePtr& type) {
    const auto klass = type->cast<c10::ClassType>();
    if (klass == nullptr) {
      for (const auto& inner : type->containedTypes()) add(inner);
      return;
    }
    if (!classes_.insert(klass.get()).second) return;
    for (auto* f : klass->methods()) add(f);
    for (auto* f : klass->getForwardHooks()) add(f);
    for (auto* f : klass->getForwardPreHooks()) add(f);
    for (const auto& p : klass->properties()) {
      add(p.getter);
      add(p.setter);
    }
    for (const auto& member : klass->getAttributes()) add(member.getType());
  }

  void visit(const Graph& root) {
    std::vector<const Block*> blocks{root.block()};
    while (!blocks.empty()) {
      const auto* block = blocks.back();
      blocks.pop_back();
      for (const auto* node : block->nodes()) {
        visit(*node);
        for (const auto* inner : node->blocks()) blocks.push_back(inner);
        for (const auto& name : node->attributeNames()) {
          if (node->kindOf(name) == torch::jit::AttributeKind::g)
            blocks.push_back(node->g(name)->block());
          if (node->kindOf(name) == torch::jit::AttributeKind::gs)
            for (const auto& g : node->gs(name)) blocks.push_back(g->block());
        }
      }
    }
  }

  void visit(const Node& node) {
    for (const auto* out : node.outputs()) add(out->type());
    switch (node.kind()) {
      case c10::prim::CallFunction:
        if (auto type = node.input(0)->type()->cast<c10::FunctionType>()) return add(type->function());
        break;
      case c10::prim::CallMethod:
        if (auto type = node.input(0)->type()->cast<c10::ClassType>())
          return add(type->findMethod(node.s(c10::attr::name)));
        break;
      case c10::prim::Constant:
        if (auto type = node.output()->type()->cast<c10::FunctionType>()) add(type->function());
        break;
      case c10::prim::unchecked_cast:
        if (unpromised(node.input()->type(), node.output()->type())) {
          names_.insert("prim::unchecked_cast[structure]");
          return;
        }
        break;
      case c10::aten::warn:
        if (plain_text(node.input(0))) {
          names_.insert("aten::warn[text]");
          return;
        }
        break;
      default: break;
    }
    std::string name = node.kind().toQualString();
    if (name.find("upsample_") != std::string::npos && scaled(node)) name += "[scale]";
    names_.insert(std::move(name));
  }

  // Whether an operator that is told the size of what it makes is told a scale as well, which
  // it believes. Lists of scales are another overload, which has no size beside them.
  static bool scaled(const Node& node) {
    const auto inputs = node.inputs();
    return std::any_of(inputs.begin(), inputs.end(), [](const torch::jit::Value* v) {
      auto type = v->type();
      if (auto optional = type->cast<c10::OptionalType>()) type = optional->getElementType();
      if (type->kind() != c10::TypeKind::FloatType) return false;
      const auto value = torch::jit::toIValue(v);
      return !value.has_value() || !value->isNone();
    });
  }

  static bool structured(const c10::TypePtr& type) {
    switch (type->kind()) {
      case c10::TypeKind::ClassType:
      case c10::TypeKind::InterfaceType:
      case c10::TypeKind::FunctionType:
      case c10::TypeKind::TupleType: return true;
      default: break;
    }
    const auto inner = type->containedTypes();
    return std::any_of(inner.begin(), inner.end(), structured);
  }

  // Whether a value of one type may turn out to be another object or tuple.
  static bool unpromised(const c10::TypePtr& from, const c10::TypePtr& to) {
    if (*from == *to || !structured(to)) return false;
    if (auto optional = from->cast<c10::OptionalType>())
      return !(*optional->getElementType() == *to);
    return true;
  }

  // A constant, or one with its {} filled in.
  static bool plain_text(const torch::jit::Value* message) {
    if (message->node()->kind() == c10::aten::format) message = message->node()->input(0);
    const auto value = torch::jit::toIValue(message);
    if (!value.has_value() || !value->isString()) return false;
    const auto& text = value->toStringRef();
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
  }

  std::set<std::string> names_;
  std::set<const Function*> seen_;
  std::set<const c10::ClassType*> classes_;
  std::vector<Function*> waiting_;
  std::vector<c10::TypePtr> types_;
};

}  // namespace

extern "C" {

tb_status* tb_module_operators(const tb_module* m, tb_strings** out) {
  return guarded(kNoGrad, [&] {
    const auto& module = need(m, "module").value;
    Operators all;
    for (const auto& part : module.modules()) all.add(part.type());
    for (auto* f : module._ivalue()->compilation_unit()->get_functions()) all.add(f);
    give(out, all.names());
  });
}

}  // extern "C"
