#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "capdiff/image/decode.h"
#include "tests/image/pictures.h"
#include "tests/support/command.h"
#include "tests/support/http_client.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;

/// The lines of the guide's shell examples.
std::vector<std::string> requests_of(const fs::path& document) {
  std::vector<std::string> requests;
  std::istringstream text(read_text_bytes(document));
  bool shell = false;
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("```"))
      shell = line == "```sh";
    else if (shell)
      requests.push_back(line);
  }
  return requests;
}

TEST(ServingGuide, ItsRequestsWork) {
  if (std::system("curl --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "curl is not here";
  const std::vector<std::string> requests = requests_of(fs::path(CAPDIFF_SOURCE_DIR) / "docs/serving.md");
  ASSERT_GE(requests.size(), 10u);
  const TemporaryFolder folder, model;
  write_tiny_model(model.path());
  const Bytes jpeg = encode_jpeg(read_image(kScene));
  folder.write("photo.jpg", {reinterpret_cast<const char*>(jpeg.data()), jpeg.size()});
  fs::copy_file(kScene, folder.path() / "photo.png");
  const RunningServer server({"-m", model.path().string(), "--steps", "10"});
  for (std::string request : requests) {
    const std::string port = "127.0.0.1:8080";
    const std::size_t at = request.find(port);
    ASSERT_NE(at, std::string::npos) << request;
    request.replace(at, port.size(), "127.0.0.1:" + std::to_string(server.port()));
    folder.write("request.sh", "cd '" + folder.path().string() +
                                   "'\ncurl() { command curl --silent --fail-with-body \"$@\"; }\nexec >out\n" +
                                   request);
    EXPECT_EQ(std::system(("bash '" + (folder.path() / "request.sh").string() + "'").c_str()), 0)
        << request << "\n"
        << read_text_bytes(folder.path() / "out");
    EXPECT_NE(read_text_bytes(folder.path() / "out"), "") << request;
  }
}

}  // namespace
}  // namespace capdiff::test
