// Errors, lists, byte strings, and the count of live handles.
#include "internal.h"

#include <new>

#include <torch/csrc/jit/frontend/error_report.h>
#include <torch/csrc/jit/runtime/jit_exception.h>

struct tb_status {
  tb_code code;
  std::string message;
  std::string detail;
};

namespace tb {

std::atomic<int64_t> live_handles{0};

namespace {

// Handed out when there is no memory left to make a status; never freed.
tb_status* out_of_memory() noexcept {
  static tb_status status{TB_ERR_MEMORY, "out of memory", "out of memory"};
  return &status;
}

std::string trimmed(const std::string& s) {
  const auto from = s.find_first_not_of(" \t\r\n");
  if (from == std::string::npos) return "";
  return s.substr(from, s.find_last_not_of(" \t\r\n") - from + 1);
}

// The line that says what is wrong. The TorchScript interpreter prints a
// traceback first and the reason last; everything else starts with it.
std::string reason(const std::string& text) {
  for (const char* mark : {"\nRuntimeError: ", "\ntorch.jit.Error: "}) {
    const auto at = text.rfind(mark);
    if (at == std::string::npos) continue;
    const auto from = text.find(": ", at) + 2;
    return trimmed(text.substr(from, text.find('\n', from) - from));
  }
  size_t from = 0;
  while (from < text.size()) {
    auto end = text.find('\n', from);
    if (end == std::string::npos) end = text.size();
    auto line = trimmed(text.substr(from, end - from));
    // "[enforce fail at inline_container.cc:145] . reason": the place in
    // libtorch's sources says nothing to its user.
    if (line.rfind("[enforce fail at ", 0) == 0) {
      const auto close = line.find("] ");
      if (close != std::string::npos) line = trimmed(line.substr(close + 2));
      while (!line.empty() && (line[0] == '.' || line[0] == ' ')) line.erase(0, 1);
    }
    if (!line.empty()) return line;
    from = end + 1;
  }
  return "no reason given";
}

bool is_memory_error(const std::string& text) {
  return text.find("can't allocate memory") != std::string::npos ||
         text.find("not enough memory") != std::string::npos ||
         text.find("out of memory") != std::string::npos;
}

tb_status* make(tb_code code, const std::string& brief, const std::string& full) {
  if (code == TB_ERR_TORCH && is_memory_error(brief)) code = TB_ERR_MEMORY;
  return new tb_status{code, reason(brief), full};
}

}  // namespace

tb_status* current_exception_status() noexcept {
  try {
    try {
      throw;
    } catch (const ArgumentError& e) {
      return make(TB_ERR_ARGUMENT, e.what(), e.what());
    } catch (const c10::Error& e) {
      return make(TB_ERR_TORCH, e.what_without_backtrace(), e.what());
    } catch (const std::bad_alloc&) {
      return make(TB_ERR_MEMORY, "out of memory", "std::bad_alloc");
    } catch (const torch::jit::ErrorReport& e) {
      return make(TB_ERR_TORCH, e.what(), e.what());
    } catch (const torch::jit::JITException& e) {
      return make(TB_ERR_TORCH, e.what(), e.what());
    } catch (const std::exception& e) {
      return make(TB_ERR_STD, e.what(), e.what());
    } catch (...) {
      return make(TB_ERR_UNKNOWN, "an exception of an unknown type", "no std::exception");
    }
  } catch (...) {
    return out_of_memory();
  }
}

}  // namespace tb

extern "C" {

tb_code tb_status_code(const tb_status* s) { return s == nullptr ? TB_OK : s->code; }
const char* tb_status_message(const tb_status* s) { return s == nullptr ? "" : s->message.c_str(); }
const char* tb_status_detail(const tb_status* s) { return s == nullptr ? "" : s->detail.c_str(); }
void tb_status_free(tb_status* s) {
  if (s != tb::out_of_memory()) delete s;
}

size_t tb_strings_count(const tb_strings* list) { return list == nullptr ? 0 : list->value.size(); }
const char* tb_strings_at(const tb_strings* list, size_t i) {
  return list == nullptr || i >= list->value.size() ? "" : list->value[i].c_str();
}
void tb_strings_free(tb_strings* list) { delete list; }

const void* tb_bytes_data(const tb_bytes* b) { return b == nullptr ? nullptr : b->value.data(); }
size_t tb_bytes_size(const tb_bytes* b) { return b == nullptr ? 0 : b->value.size(); }
void tb_bytes_free(tb_bytes* b) { delete b; }

int64_t tb_live_handles(void) { return tb::live_handles.load(); }

}  // extern "C"
