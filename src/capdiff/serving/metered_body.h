#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

#include "capdiff/serving/allowance.h"

namespace capdiff {

/// The body of a request, as Beast's parsers fill it. Its memory is taken from an allowance as its bytes arrive: one
/// that is only announced takes nothing from others.
struct MeteredBody {
  struct value_type {
    std::string bytes;
    Allowance* allowance = nullptr;  ///< must be set before the first byte comes
    std::vector<Allowance::Ticket> tickets;

    /// Takes the address space, which is no memory yet; grown bit by bit, bytes would be in memory twice at times.
    bool reserve(std::size_t size) {
      try {
        bytes.reserve(size);
        return true;
      } catch (const std::exception&) {
        return false;
      }
    }
    /// Whether there is memory for so many bytes more.
    bool take(std::size_t count) {
      while (bytes.size() + count > tickets.size() * kPiece) {
        Allowance::Ticket ticket = allowance->take(kPiece);
        if (!ticket) return false;
        tickets.push_back(std::move(ticket));
      }
      return true;
    }
  };

  /// Memory is taken in pieces, as a ticket is some bytes itself.
  static constexpr std::size_t kPiece = std::size_t{64} << 10;

  /// The error of a body that there is no memory for.
  static boost::system::error_code no_memory() { return make_error_code(boost::system::errc::not_enough_memory); }

  class reader {
   public:
    template <class Header>
    reader(Header&, value_type& body) : body_(body) {}

    template <class Length>
    void init(const Length& length, boost::system::error_code& error) {
      error = length && !body_.reserve(static_cast<std::size_t>(*length)) ? no_memory() : boost::system::error_code();
    }

    template <class Buffers>
    std::size_t put(const Buffers& buffers, boost::system::error_code& error) {
      const std::size_t count = boost::asio::buffer_size(buffers);
      if (!body_.take(count)) {
        error = no_memory();
        return 0;
      }
      const std::size_t before = body_.bytes.size();
      body_.bytes.resize(before + count);
      boost::asio::buffer_copy(boost::asio::buffer(body_.bytes.data() + before, count), buffers);
      error = {};
      return count;
    }

    void finish(boost::system::error_code& error) { error = {}; }

   private:
    value_type& body_;
  };
};

}  // namespace capdiff
